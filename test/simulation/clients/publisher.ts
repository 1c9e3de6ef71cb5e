import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Kind } from "../../../gen/tidings/v1/message_pb.ts";
import { publishRequest, serviceOf, type To } from "../../support/core.ts";
import type { History, PublishRecord } from "../check/history.ts";
import type { Scheduler } from "../runtime/scheduler.ts";
import type { SeededRandom } from "../runtime/seeded-random.ts";
import { errorName, isExpected, type LoadBalancer } from "./load-balancer.ts";

const timeoutMs = 4_000;

/** Where a message goes. */
export interface Destination {
  /** The feed, as the store names it. */
  readonly feed: string;
  readonly tenant: string | undefined;
  /** The audience of the request. */
  readonly to: To;
  readonly kind: Kind;
  /** The lifetime of the message, in ms; 0 for as long as retention keeps it. */
  readonly ttlMs: number;
}

/** A backend that publishes, and retries with the same request id until it gets an answer or gives up. */
export class Publisher {
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #balancer: LoadBalancer;
  readonly #history: History;
  #published = 0;

  constructor(scheduler: Scheduler, random: SeededRandom, balancer: LoadBalancer, history: History) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#balancer = balancer;
    this.#history = history;
  }

  /** Publishes one message. Resolves with its record, answered or not. */
  async publish({ feed, tenant, to, kind, ttlMs }: Destination): Promise<PublishRecord> {
    const key = `k${++this.#published}`;
    const record: PublishRecord = {
      key,
      feed,
      notification: kind === Kind.NOTIFICATION,
      invoked: this.#scheduler.now,
    };
    this.#history.publishes.push(record);
    const category = this.#random.pick(["", "system"]);
    const ttl = ttlMs > 0 ? { ttl: durationFromMs(ttlMs) } : {};
    const request = publishRequest(to, { kind, title: key, category, ...ttl }, { requestId: key });
    const attempts = this.#random.integer(1, 8);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const node = this.#balancer.pick();
      this.#history.log(`publish ${key} to ${feed.replace("\n", "/")} on ${node.host.name}`);
      try {
        const [outcome] = await this.#balancer.call(
          node,
          (core) => core.publisher.publish(serviceOf(tenant), [request]),
          timeoutMs,
        );
        if (!outcome || outcome instanceof Error) throw outcome ?? new Error("no outcome");
        record.answered = { time: this.#scheduler.now, id: outcome.messageId };
        this.#history.log(`publish ${key} answered${outcome.duplicate ? " as a duplicate" : ""}`);
        return record;
      } catch (error) {
        this.#history.log(`publish ${key} failed: ${errorName(error)}`);
        if (!isExpected(error)) this.#history.error(`publish ${key}: ${errorName(error)}`);
      }
      await this.#scheduler.sleep(this.#random.between(5, 400));
    }
    return record;
  }
}
