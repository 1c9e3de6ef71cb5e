import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { publishRequest, serviceOf, type To } from "../support/core.ts";
import { type Caller, isExpected, nameOf } from "./caller.ts";
import type { Dice } from "./dice.ts";
import type { History, PublishRecord } from "./history.ts";
import type { Scheduler } from "./scheduler.ts";

const timeoutMs = 4_000;

/** Where a message goes: the feed as the store names it, and the audience of the request. */
export interface Target {
  readonly feed: string;
  readonly tenant: string | undefined;
  readonly to: To;
  readonly kind: Kind;
  /** How long it lives, in ms; 0 for as long as messages are kept. */
  readonly ttlMs: number;
}

/** A backend that publishes, and repeats under the same request id until it is answered or gives up. */
export class Publisher {
  readonly #scheduler: Scheduler;
  readonly #dice: Dice;
  readonly #caller: Caller;
  readonly #history: History;
  #published = 0;

  constructor(scheduler: Scheduler, dice: Dice, caller: Caller, history: History) {
    this.#scheduler = scheduler;
    this.#dice = dice;
    this.#caller = caller;
    this.#history = history;
  }

  /** Publishes one message. Settles with its record, answered or given up. */
  async publish({ feed, tenant, to, kind, ttlMs }: Target): Promise<PublishRecord> {
    const key = `k${++this.#published}`;
    const record: PublishRecord = {
      key,
      feed,
      notification: kind === Kind.NOTIFICATION,
      invoked: this.#scheduler.now,
    };
    this.#history.publishes.push(record);
    const category = this.#dice.pick(["", "system"]);
    const ttl = ttlMs > 0 ? { ttl: durationFromMs(ttlMs) } : {};
    const request = publishRequest(to, { kind, title: key, category, ...ttl }, { requestId: key });
    const attempts = this.#dice.integer(1, 8);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const node = this.#caller.pick();
      this.#history.tell(`publish ${key} to ${feed.replace("\n", "/")} by ${node.host.name}`);
      try {
        const [outcome] = await this.#caller.call(
          node,
          (core) => core.publisher.publish(serviceOf(tenant), [request]),
          timeoutMs,
        );
        if (!outcome || outcome instanceof Error) throw outcome ?? new Error("nothing");
        record.answered = { time: this.#scheduler.now, id: outcome.messageId };
        this.#history.tell(`publish ${key} answered${outcome.duplicate ? " as a duplicate" : ""}`);
        return record;
      } catch (error) {
        this.#history.tell(`publish ${key} failed: ${nameOf(error)}`);
        if (!isExpected(error)) this.#history.alarm(`publish ${key}: ${nameOf(error)}`);
      }
      await this.#scheduler.sleep(this.#dice.between(5, 400));
    }
    return record;
  }
}
