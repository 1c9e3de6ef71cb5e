import { Bucket } from "./bucket.ts";
import type { Clock, Random } from "./clock.ts";
import { fail } from "./errors.ts";
import type { AdmissionSettings } from "./options.ts";

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
  readonly #node: Bucket;
  readonly #burst: number;
  readonly #beginning: () => number;
  readonly #tenants = new Map<string, Bucket>();

  /** `beginning` tells how many streams were taken in and have had no Hello. */
  constructor(
    { perSecond, burst, perTenant }: AdmissionSettings,
    { clock, random, beginning }: { clock: Clock; random: Random; beginning: () => number },
  ) {
    this.#burst = burst;
    this.#beginning = beginning;
    this.#perTenant = perTenant;
    this.#clock = clock;
    this.#random = random;
    this.#node = new Bucket({ perSecond, burst }, clock, random);
  }

  /** Takes in one stream; without a tenant, of a service for all. Throws TOO_MANY_NEW_STREAMS with the time to come back. */
  admit(tenant?: string): void {
    const own = tenant === undefined ? undefined : this.#of(tenant);
    // The tenant's first: who is over it must not push others back in the node's queue.
    const empty = [own, this.#node].find((bucket) => bucket && !bucket.hasToken);
    if (empty || this.#beginning() >= this.#burst) {
      const sentence = "too many streams are being opened; come back after the delay";
      throw fail("TOO_MANY_NEW_STREAMS", sentence, { retryAfterMs: (empty ?? this.#node).nextTurn() });
    }
    own?.take();
    this.#node.take();
  }

  #of(tenant: string): Bucket | undefined {
    if (this.#perTenant === Number.POSITIVE_INFINITY) return undefined;
    const sizes = { perSecond: this.#perTenant, burst: Math.ceil(this.#perTenant / 2) };
    const bucket = this.#tenants.get(tenant) ?? new Bucket(sizes, this.#clock, this.#random);
    // The longest unused goes first.
    this.#tenants.delete(tenant);
    this.#tenants.set(tenant, bucket);
    if (this.#tenants.size > maxTenants) this.#tenants.delete(this.#tenants.keys().next().value as string);
    return bucket;
  }
}
