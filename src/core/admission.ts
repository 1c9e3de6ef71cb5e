import { fail } from "../errors.ts";
import type { AdmissionSettings } from "../options.ts";
import type { Clock, Random } from "../ports/clock.ts";
import { LruCache } from "../util/lru.ts";
import { SlottedBucket } from "./slotted-bucket.ts";

/** The most tenants that are remembered; a tenant that was forgotten starts with a full bucket. */
const maxTenants = 10_000;

/**
 * Rate limits of new streams: one token bucket for the node and one for each tenant, so that the return of all clients at
 * once neither reaches the store nor delays open streams, and one tenant's reconnecting pages do not use up the node. A
 * node that is slower than its rate opens at most a burst of streams at a time; more would only wait, and finish together.
 * Each refused caller gets a retry slot of its own: with one delay for all, they would all return at once again.
 */
export class Admission {
  readonly #perTenant: number;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #node: SlottedBucket;
  readonly #beginning: (tenant?: string) => number;
  readonly #tenants = new LruCache<string, SlottedBucket>({ entries: maxTenants });

  /** Callers that were admitted and are checked before their streams begin. */
  #checking = 0;

  /** `beginning` returns the number of streams without a Hello, of one tenant or of all. */
  constructor(
    { perSecond, burst, perTenant }: AdmissionSettings,
    { clock, random, beginning }: { clock: Clock; random: Random; beginning: (tenant?: string) => number },
  ) {
    this.#beginning = beginning;
    this.#perTenant = perTenant;
    this.#clock = clock;
    this.#random = random;
    this.#node = new SlottedBucket({ perSecond, burst }, clock, random);
  }

  /**
   * Admits one stream; a service of all tenants has no tenant. Returns a function to call when the caller was checked,
   * whatever the outcome. Throws TOO_MANY_NEW_STREAMS with the delay until the caller's retry slot.
   */
  admit(tenant?: string): () => void {
    const own = tenant === undefined ? undefined : this.#bucketOf(tenant);
    const exhausted = this.#exhausted(tenant, own);
    if (exhausted) {
      const sentence = "too many streams are being opened; come back after the delay";
      const option = exhausted === own ? "admission.perTenant" : "admission.perSecond";
      const metadata = { option, limit: `${exhausted.rate.perSecond}`, burst: `${exhausted.rate.burst}` };
      throw fail("TOO_MANY_NEW_STREAMS", sentence, { retryAfterMs: exhausted.nextRetryMs(), metadata });
    }
    own?.take();
    this.#node.take();
    this.#checking++;
    return () => void this.#checking--;
  }

  /** The bucket that refuses this stream; undefined if none does. */
  #exhausted(tenant: string | undefined, own: SlottedBucket | undefined): SlottedBucket | undefined {
    // The tenant's bucket first: a tenant over its rate must not push others back in the node's queue.
    if (own && (!own.hasToken || this.#beginning(tenant) >= own.rate.burst)) return own;
    const beginning = this.#beginning() + this.#checking;
    return this.#node.hasToken && beginning < this.#node.rate.burst ? undefined : this.#node;
  }

  #bucketOf(tenant: string): SlottedBucket | undefined {
    if (this.#perTenant === Number.POSITIVE_INFINITY) return undefined;
    const rate = { perSecond: this.#perTenant, burst: Math.ceil(this.#perTenant / 2) };
    return this.#tenants.getOrCreate(tenant, () => new SlottedBucket(rate, this.#clock, this.#random));
  }
}
