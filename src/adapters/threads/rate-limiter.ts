/**
 * Port RateLimiter between the event-loop threads of one process: a thread spends from its own copy of a bucket, and reports
 * what it has spent to the host, which takes it from the shared bucket and answers with the level. The copy then has that
 * level. So no caller waits, and no thread takes a lock.
 *
 * As with adapters/redis/rate-limiter.ts, a limit may be exceeded for a moment: a thread reports once it has spent a tenth of
 * a burst, and every 25 ms at most, so N threads that begin to use a bucket at the same time may allow N bursts rather than
 * one. Their reports take the shared bucket into debt, which its later tokens pay.
 */
import type { MessagePort } from "node:worker_threads";
import { type Clock, elapsedOn, systemClock, type Timer } from "../../ports/clock.ts";
import type { Charge, RateLimiter, Refusal } from "../../ports/rate-limiter.ts";
import { type KeyedBucket, TokenBuckets } from "../../util/token-buckets.ts";
import type { Levels, Spent, ThreadLink } from "./link.ts";

/** The least time between two reports of a thread, in ms. */
const reportMs = 25;
/** The part of its burst that a thread may have spent of a bucket without reporting it. */
const unreportedShare = 0.1;

/** The rate limiter of one event-loop thread. */
export class ThreadRateLimiter implements RateLimiter {
  readonly #port: MessagePort;
  readonly #clock: Clock;
  readonly #buckets: TokenBuckets;
  /** Buckets to report. */
  readonly #spent = new Set<KeyedBucket>();
  /** The buckets of the report whose answer is missing. */
  #asked: readonly KeyedBucket[] | undefined;
  #timer: Timer | undefined;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor({ limiter: port }: Pick<ThreadLink, "limiter">, clock: Clock = systemClock) {
    this.#port = port;
    this.#clock = clock;
    this.#buckets = new TokenBuckets(clock, (bucket, cost) => this.#spend(bucket, cost));
    port.on("message", (levels: Levels) => this.#take(levels));
    port.unref();
  }

  take(charges: readonly Charge[]): Refusal | undefined {
    return this.#buckets.take(charges);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#buckets.clear();
    this.#spent.clear();
    this.#port.close();
  }

  #spend(bucket: KeyedBucket, cost: number): void {
    bucket.unreported += cost;
    if (this.#isClosed || bucket.unreported < bucket.rate.burst * unreportedShare) return;
    this.#spent.add(bucket);
    this.#schedule();
  }

  #schedule(): void {
    // The answer of the last report schedules the next one.
    if (this.#asked || this.#timer || this.#spent.size === 0) return;
    const sinceMs = elapsedOn(this.#clock) - this.#reportedAt;
    this.#timer = this.#clock.after(Math.max(0, reportMs - sinceMs), () => this.#report());
  }

  #report(): void {
    this.#timer = undefined;
    this.#reportedAt = elapsedOn(this.#clock);
    this.#asked = [...this.#spent];
    this.#spent.clear();
    const spent: Spent = this.#asked.map(({ limit, key, rate: { perSecond, burst }, unreported }) => [
      limit,
      key,
      perSecond,
      burst,
      unreported,
    ]);
    for (const bucket of this.#asked) bucket.unreported = 0;
    this.#port.postMessage(spent);
  }

  #take(levels: Levels): void {
    const now = elapsedOn(this.#clock);
    for (const [index, bucket] of (this.#asked ?? []).entries()) {
      // What was spent since the report is not in the answer.
      bucket.level = (levels[index] ?? bucket.level) - bucket.unreported;
      bucket.filledAt = now;
    }
    this.#asked = undefined;
    this.#schedule();
  }
}
