import type { JsonValue } from "@bufbuild/protobuf";
import { Histogram } from "../measure/histogram.ts";
import { reasonOf } from "../measure/invalid.ts";
import { Child } from "../process/child.ts";
import type { Protocol } from "../sockets/protocols.ts";
import { benchTenant } from "../workload/tokens.ts";
import type { OpenGroup } from "./process/subscribers.ts";

/** Subscriptions to open. */
export interface GroupSpec {
  readonly protocol: Protocol;
  readonly port: number;
  readonly count: number;
  /** Users are named `<prefix><number>`, numbered from 0. Default `user-`. */
  readonly prefix?: string;
  /** Default `benchTenant`. */
  readonly tenant?: string;
  /** A SubscribeRequest in Protobuf's JSON. Default: empty. */
  readonly subscribe?: JsonValue;
  /** Streams on one connection, for HTTP/2. Default 1. */
  readonly streamsPerConnection?: number;
  /** How many connections each driver opens at the same time. Default 50. */
  readonly concurrency?: number;
  /** Messages carry the time of their publish. Default false. */
  readonly stamped?: boolean;
  /** On servers with channels, each user has a channel with the user's name. Default: all have one channel. */
  readonly ownChannels?: boolean;
  /** All streams are of this user. */
  readonly user?: string;
}

/** Messages were lost or duplicated. */
export class LostError extends Error {}

/** A driver that reads takes about as much CPU as a server that writes; with two of them neither is saturated. */
const processes = 2;
/** A message that has not arrived after this time counts as lost, in ms. */
const lossTimeoutMs = 30_000;

/** Driver processes; each holds a share of every group of subscriptions. */
export class Subscribers implements AsyncDisposable {
  readonly #drivers = Array.from({ length: processes }, () => new Child("drivers/process/subscribers.ts"));
  #groups = 0;

  /** Opens a group and resolves when all of it is subscribed. */
  async open(spec: GroupSpec): Promise<SubscriberGroup> {
    const name = `group-${this.#groups++}`;
    const each = Math.ceil(spec.count / processes);
    const shares: Share[] = this.#drivers
      .map((driver, index) => ({ driver, first: index * each, count: Math.min(each, spec.count - index * each) }))
      .filter(({ count }) => count > 0);
    const group = new SubscriberGroup(name, spec.count, shares);
    await Promise.all(
      shares.map(({ driver, first, count }) => {
        const open: OpenGroup = {
          prefix: "user-",
          tenant: benchTenant,
          subscribe: {},
          streamsPerConnection: 1,
          concurrency: 50,
          stamped: false,
          ownChannels: false,
          ...spec,
          group: name,
          first,
          count,
        };
        return driver.call("open", open);
      }),
    );
    return group;
  }

  /** The CPU time of each driver so far, in µs. */
  cpu(): Promise<number[]> {
    return Promise.all(this.#drivers.map((driver) => driver.cpu()));
  }

  /** Closes all groups, including those whose servers have ended. */
  async closeAll(): Promise<void> {
    await Promise.all(this.#drivers.map((driver) => driver.call("closeAll")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#drivers.map((driver) => driver[Symbol.asyncDispose]()));
  }
}

/** The part of a group that one driver holds: `count` users, numbered from `first`. */
export interface Share {
  readonly driver: Child;
  readonly first: number;
  readonly count: number;
}

/** Subscriptions whose messages are counted together. */
export class SubscriberGroup {
  readonly count: number;
  readonly shares: readonly Share[];
  readonly #name: string;

  constructor(name: string, count: number, shares: readonly Share[]) {
    this.#name = name;
    this.count = count;
    this.shares = shares;
  }

  /** Resolves when the subscriptions have `each` messages on average since they opened. Rejects with a LostError. */
  until(each: number, timeoutMs = lossTimeoutMs): Promise<void> {
    return this.untilTotals(
      this.shares.map(({ count }) => count * each),
      timeoutMs,
    );
  }

  /** Resolves when each share has this many messages in total since it opened. Rejects with a LostError. */
  async untilTotals(totals: readonly number[], timeoutMs = lossTimeoutMs): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<"timeout">((resolve) => {
      timer = setTimeout(resolve, timeoutMs, "timeout");
    });
    const arrived = Promise.all(
      this.shares.map(({ driver }, index) => driver.call("until", { group: this.#name, total: totals[index] })),
    );
    const first = await Promise.race([arrived, timeout]);
    clearTimeout(timer);
    if (first !== "timeout") return;
    arrived.catch(() => {});
    await Promise.all(this.shares.map(({ driver }) => driver.call("stopWaiting", this.#name)));
    throw new LostError("messages lost");
  }

  /** Rejects with a LostError unless each subscription has exactly `each` messages. */
  async check(each: number): Promise<void> {
    for (const { driver } of this.shares) {
      const { min, max } = await driver.call<{ min: number; max: number }>("counts", this.#name);
      if (min !== each || max !== each) throw new LostError(`${min} to ${max} messages instead of ${each}`);
    }
  }

  /**
   * Waits until each subscription has exactly `each` messages. Resolves with undefined, or with the reason when messages
   * are lost or duplicated.
   */
  async findLoss(each: number, timeoutMs = lossTimeoutMs): Promise<string | undefined> {
    try {
      await this.until(each, timeoutMs);
      await this.check(each);
      return undefined;
    } catch (error) {
      return reasonOf(error);
    }
  }

  /**
   * Waits until user number n has exactly `expected[n]` messages, for all users of the group. Resolves with undefined, or
   * with the reason when messages are lost, duplicated, or delivered to another user.
   */
  async findLossOfEach(expected: readonly number[], timeoutMs = lossTimeoutMs): Promise<string | undefined> {
    const share = ({ first, count }: Share) => expected.slice(first, first + count);
    try {
      await this.untilTotals(
        this.shares.map((part) => share(part).reduce((sum, count) => sum + count, 0)),
        timeoutMs,
      );
      for (const part of this.shares) {
        const counts = await part.driver.call<number[]>("each", this.#name);
        const wrong = share(part).findIndex((count, index) => counts[index] !== count);
        if (wrong < 0) continue;
        return `user ${part.first + wrong} has ${counts[wrong]} messages instead of ${share(part)[wrong]}`;
      }
      return undefined;
    } catch (error) {
      return reasonOf(error);
    }
  }

  /** The bytes that all subscriptions have received since they opened, those of the handshakes included. */
  async bytes(): Promise<number> {
    const each = await Promise.all(this.shares.map(({ driver }) => driver.call<number>("bytes", this.#name)));
    return each.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** The latencies of the messages that have arrived since the previous call. */
  async times(): Promise<Histogram> {
    const all = new Histogram();
    for (const { driver } of this.shares) all.merge(new Histogram(await driver.call<number[]>("times", this.#name)));
    return all;
  }

  /** Stops reading, or continues. */
  async pause(on: boolean): Promise<void> {
    await Promise.all(this.shares.map(({ driver }) => driver.call("pause", { group: this.#name, on })));
  }

  /** Closes all connections. */
  async close(): Promise<void> {
    await Promise.all(this.shares.map(({ driver }) => driver.call("close", this.#name)));
  }
}
