import { fail } from "../errors.ts";
import type { AdmissionSettings } from "../options.ts";
import type { Clock, Random } from "../ports/clock.ts";
import { LruCache } from "../util/lru.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Tenants remembered at most; one that is forgotten starts with a full bucket. */
const maxTenants = 10_000;

/**
 * How many new streams a node takes per second, and how many of one tenant: buckets of tokens, so that the return of
 * everyone at once neither reaches the store nor delays the streams that are open, and one tenant's pages in a loop take
 * not all the turns. A node that is slower than its bucket begins no more than a burst of them at a time: all would wait,
 * and then come at one moment. Who is refused is told a turn of its own in the seconds to come: the same delay for all
 * would only move the crowd.
 */
export class Admission {
  readonly #perTenant: number;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #node: TokenBucket;
  readonly #beginning: (tenant?: string) => number;
  readonly #tenants = new LruCache<string, TokenBucket>({ entries: maxTenants });

  /** Streams that were taken in, and are looked at before they begin. */
  #checking = 0;

  /** `beginning` tells how many streams have begun, all or a tenant's, and have had no Hello. */
  constructor(
    { perSecond, burst, perTenant }: AdmissionSettings,
    { clock, random, beginning }: { clock: Clock; random: Random; beginning: (tenant?: string) => number },
  ) {
    this.#beginning = beginning;
    this.#perTenant = perTenant;
    this.#clock = clock;
    this.#random = random;
    this.#node = new TokenBucket({ perSecond, burst }, clock, random);
  }

  /**
   * Takes in one stream; without a tenant, of a service for all. Answers what to call once it was looked at, and begins or
   * does not. Throws TOO_MANY_NEW_STREAMS with the time to come back.
   */
  admit(tenant?: string): () => void {
    const own = tenant === undefined ? undefined : this.#of(tenant);
    const full = this.#full(tenant, own);
    if (full) {
      const sentence = "too many streams are being opened; come back after the delay";
      throw fail("TOO_MANY_NEW_STREAMS", sentence, { retryAfterMs: full.nextTurn() });
    }
    own?.take();
    this.#node.take();
    this.#checking++;
    return () => void this.#checking--;
  }

  /** The bucket that has nothing for this stream, if there is one. */
  #full(tenant: string | undefined, own: TokenBucket | undefined): TokenBucket | undefined {
    // The tenant's first: who is over it must not push others back in the node's queue.
    if (own && (!own.hasToken || this.#beginning(tenant) >= own.burst)) return own;
    const beginning = this.#beginning() + this.#checking;
    return this.#node.hasToken && beginning < this.#node.burst ? undefined : this.#node;
  }

  #of(tenant: string): TokenBucket | undefined {
    if (this.#perTenant === Number.POSITIVE_INFINITY) return undefined;
    const sizes = { perSecond: this.#perTenant, burst: Math.ceil(this.#perTenant / 2) };
    return this.#tenants.getOrCreate(tenant, () => new TokenBucket(sizes, this.#clock, this.#random));
  }
}
