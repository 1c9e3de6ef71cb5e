import type { JsonValue } from "@bufbuild/protobuf";
import { Child } from "./child.ts";
import type { Family } from "./drivers/families.ts";
import type { OpenGroup } from "./drivers/subscribers.ts";
import { Histogram } from "./histogram.ts";
import { benchTenant } from "./tokens.ts";

/** Subscriptions to open; the rest has its defaults. */
export interface GroupSpec {
  readonly family: Family;
  readonly port: number;
  readonly count: number;
  /** Users are named `<prefix><number from 0>`. Default `user-`. */
  readonly prefix?: string;
  readonly tenant?: string;
  /** A SubscribeRequest in Protobuf's JSON. */
  readonly subscribe?: JsonValue;
  /** Streams on one connection; for gRPC only. Default 1. */
  readonly perSession?: number;
  /** So many connections of each driver open at once. Default 50. */
  readonly atOnce?: number;
  /** Messages carry their time of publishing. */
  readonly stamped?: boolean;
}

/** Messages did not come, or came twice. */
export class LostError extends Error {}

/** One Node process that only reads takes about what one that only writes makes; half each leaves it room. */
const processes = 2;
/** Nothing takes so long: what has not come by now will not come. */
const patienceMs = 30_000;

/** Driver processes that share the subscriptions of each group. */
export class Subscribers implements AsyncDisposable {
  readonly #drivers = Array.from({ length: processes }, () => new Child("drivers/subscribers.ts"));
  #groups = 0;

  /** Answers when all are subscribed. */
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
          perSession: 1,
          atOnce: 50,
          stamped: false,
          ...spec,
          group: name,
          first,
          count,
        };
        return driver.ask("open", open);
      }),
    );
    return group;
  }

  /** CPU time of each driver so far, in µs. */
  cpu(): Promise<number[]> {
    return Promise.all(this.#drivers.map((driver) => driver.cpu()));
  }

  /** Tells servers that ping WebSockets that all are alive; between rounds, at least every 20 s. */
  async sayAlive(): Promise<void> {
    await Promise.all(this.#drivers.map((driver) => driver.ask("sayAlive")));
  }

  /** Forgets all groups; their servers may be gone. */
  async closeAll(): Promise<void> {
    await Promise.all(this.#drivers.map((driver) => driver.ask("closeAll")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#drivers.map((driver) => driver[Symbol.asyncDispose]()));
  }
}

/** What one driver has of a group: the users from this number on. */
export interface Share {
  readonly driver: Child;
  readonly first: number;
  readonly count: number;
}

/** Subscriptions that are counted together. */
export class SubscriberGroup {
  readonly count: number;
  readonly shares: readonly Share[];
  readonly #name: string;

  constructor(name: string, count: number, shares: readonly Share[]) {
    this.#name = name;
    this.count = count;
    this.shares = shares;
  }

  /** Resolves when each subscription has got so many messages since it was opened. Throws a LostError. */
  until(each: number, patience = patienceMs): Promise<void> {
    return this.untilTotals(
      this.shares.map(({ count }) => count * each),
      patience,
    );
  }

  /** The same, for the sum over the subscriptions of each share. */
  async untilTotals(totals: readonly number[], patience = patienceMs): Promise<void> {
    let late: NodeJS.Timeout | undefined;
    const lost = new Promise<"lost">((resolve) => {
      late = setTimeout(resolve, patience, "lost");
    });
    const arrived = Promise.all(
      this.shares.map(({ driver }, index) => driver.ask("until", { group: this.#name, total: totals[index] })),
    );
    const first = await Promise.race([arrived, lost]);
    clearTimeout(late);
    if (first !== "lost") return;
    arrived.catch(() => {});
    await Promise.all(this.shares.map(({ driver }) => driver.ask("giveUp", this.#name)));
    throw new LostError("messages lost");
  }

  /** Throws a LostError unless each subscription has got exactly so many messages. */
  async check(each: number): Promise<void> {
    for (const { driver } of this.shares) {
      const counts = await driver.ask<{ least: number; most: number }>("counts", this.#name);
      const { least, most } = counts;
      if (least !== each || most !== each) throw new LostError(`${least} to ${most} messages instead of ${each}`);
    }
  }

  /** From publishing to arrival, since the last question. */
  async times(): Promise<Histogram> {
    const all = new Histogram();
    for (const { driver } of this.shares) all.merge(new Histogram(await driver.ask<number[]>("times", this.#name)));
    return all;
  }

  /** Stops or goes on reading. */
  async pause(on: boolean): Promise<void> {
    await Promise.all(this.shares.map(({ driver }) => driver.ask("pause", { group: this.#name, on })));
  }

  async close(): Promise<void> {
    await Promise.all(this.shares.map(({ driver }) => driver.ask("close", this.#name)));
  }
}
