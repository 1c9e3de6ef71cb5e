import type { MessagePort } from "node:worker_threads";
import { type Clock, elapsedOn, systemClock } from "../../ports/clock.ts";
import { exactKey } from "../../util/keys.ts";
import { LruCache } from "../../util/lru.ts";
import { TokenBucket } from "../../util/token-bucket.ts";
import type { Levels, Spent } from "./link.ts";

/** The most shared buckets. One that is evicted is full when it is used again. */
const maxBuckets = 100_000;

/** The token buckets that the event-loop threads of a process share. */
export class RateLimiterHost {
  readonly #clock: Clock;
  readonly #buckets = new LruCache<string, TokenBucket>({ entries: maxBuckets });
  readonly #threads = new Map<number, MessagePort>();

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Answers the reports of a thread, which come in at `port`. */
  connect(id: number, port: MessagePort): void {
    this.#threads.set(id, port);
    port.on("message", (spent: Spent) => port.postMessage(this.#spend(spent)));
    port.unref();
  }

  /** Forgets a thread. */
  disconnect(id: number): void {
    this.#threads.get(id)?.close();
    this.#threads.delete(id);
  }

  close(): void {
    for (const id of this.#threads.keys()) this.disconnect(id);
  }

  /** Takes tokens that a thread has already spent, which may leave a bucket in debt. */
  #spend(spent: Spent): Levels {
    const now = elapsedOn(this.#clock);
    return spent.map(([limit, key, perSecond, burst, tokens]) => {
      const create = () => new TokenBucket({ perSecond, burst }, now);
      const bucket = this.#buckets.getOrCreate(exactKey(limit, key), create);
      bucket.fill(now);
      bucket.level -= tokens;
      return bucket.level;
    });
  }
}
