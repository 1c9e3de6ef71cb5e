import type { ConnectError } from "@connectrpc/connect";
import { fail } from "../errors.ts";
import { type QuotaName, type QuotaSettings, quotaNames } from "../limit-options.ts";
import type { Counters } from "../metrics/counters.ts";
import { type Clock, elapsedOn } from "../ports/clock.ts";
import type { FeedKey, Store } from "../ports/store.ts";
import { LruCache } from "../util/lru.ts";
import { SharedCalls } from "../util/shared-calls.ts";

/** The most tenants whose usage is remembered; that of another one is asked for with its next message. */
const maxTenants = 10_000;
/** The age at which a usage is asked for again, in ms. */
const maxAgeMs = 5_000;
/** The age from which on a usage is asked for again before a message is refused by it, in ms. */
const minAgeMs = 1_000;
/** When a message that was refused may be tried again, in ms: retention does not make room faster. */
const retryAfterMs = 60_000;

/** What a message takes of the quotas of its tenant. */
export interface StoredMessage {
  readonly tenant: string;
  readonly bytes: number;
  readonly feeds: readonly FeedKey[];
}

/** The usage of a tenant, with what this node has let through since. */
interface Known {
  bytes: number;
  /** Without those that may be new. */
  feeds: number;
  /** Feeds of messages that were let through without a look at whether they exist. */
  unchecked: number;
  /** When the store was asked, in the elapsed time of the clock. */
  readonly time: number;
}

/**
 * The quotas of tenants on what they store. The store counts what they have, some seconds behind; this adds what it lets
 * through meanwhile, so that one node exceeds a quota by little, and several by what the others store in five seconds.
 */
export class Quotas {
  /** Whether there are any; without them nothing is asked of the store. */
  readonly isOn: boolean;
  readonly #store: Store;
  readonly #settings: QuotaSettings;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #known = new LruCache<string, Known>({ entries: maxTenants });
  readonly #calls = new SharedCalls<Known>();

  /** Throws a TypeError if there are quotas, and the store does not count what tenants have. */
  constructor(store: Store, settings: QuotaSettings, { clock, counters }: { clock: Clock; counters: Counters }) {
    this.#store = store;
    this.#settings = settings;
    this.#clock = clock;
    this.#counters = counters;
    this.isOn = quotaNames.some((name) => settings[name] < Number.POSITIVE_INFINITY);
    if (this.isOn && !store.usage) throw new TypeError("quotas: this store does not count what tenants have");
  }

  /**
   * Returns the error QUOTA_EXCEEDED if a message would exceed a quota of its tenant, and otherwise counts it. Rejects as the
   * store does.
   */
  async admit(message: StoredMessage): Promise<ConnectError | undefined> {
    const { storedBytesPerTenant, feedsPerTenant } = this.#settings;
    const { tenant, bytes, feeds } = message;
    let known = await this.#usage(tenant);
    if (known.bytes + bytes > storedBytesPerTenant && this.#ageOf(known) >= minAgeMs) known = await this.#ask(tenant);
    if (known.bytes + bytes > storedBytesPerTenant) return this.#refuse("storedBytesPerTenant", known.bytes);
    if (known.feeds + known.unchecked + feeds.length <= feedsPerTenant) {
      known.unchecked += feeds.length;
    } else {
      const added = await this.#newFeeds(feeds);
      if (added > 0 && (known.unchecked > 0 || this.#ageOf(known) >= minAgeMs)) known = await this.#ask(tenant);
      if (added > 0 && known.feeds + added > feedsPerTenant) return this.#refuse("feedsPerTenant", known.feeds);
      known.feeds += added;
    }
    known.bytes += bytes;
    return undefined;
  }

  /** The number of these feeds to which nothing was ever appended. */
  async #newFeeds(feeds: readonly FeedKey[]): Promise<number> {
    const bounds = await this.#store.bounds(feeds);
    return bounds.filter(({ seq }) => seq === 0).length;
  }

  #refuse(name: QuotaName, used: number): ConnectError {
    this.#counters.limited(name);
    const limit = this.#settings[name];
    const what = name === "feedsPerTenant" ? "feeds, and this message needs a new one" : "bytes of messages";
    const sentence = `the tenant has ${used} of at most ${limit} ${what}; have messages removed, or raise the quota`;
    const metadata = { option: `quotas.${name}`, limit: `${limit}`, used: `${used}` };
    return fail("QUOTA_EXCEEDED", sentence, { retryAfterMs, metadata });
  }

  async #usage(tenant: string): Promise<Known> {
    const known = this.#known.get(tenant);
    if (!known) return this.#ask(tenant);
    // In the background: a failure leaves the old one, and is that of the append, too.
    if (this.#ageOf(known) > maxAgeMs) void this.#ask(tenant).catch(() => {});
    return known;
  }

  #ask(tenant: string): Promise<Known> {
    return this.#calls.run(tenant, async () => {
      const usage = await this.#store.usage?.(tenant);
      const known = { bytes: usage?.bytes ?? 0, feeds: usage?.feeds ?? 0, unchecked: 0, time: elapsedOn(this.#clock) };
      this.#known.set(tenant, known);
      return known;
    });
  }

  #ageOf({ time }: Known): number {
    return elapsedOn(this.#clock) - time;
  }
}
