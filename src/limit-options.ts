/** Options of the rate limits: how often callers may do what costs others something. */
import type { Rate } from "./ports/rate-limiter.ts";

/**
 * The rate of a token bucket: `perSecond`, and the `burst` that may come at once after a quiet time. A number is the rate per
 * second, with a burst of five times as many. Infinity is no limit.
 */
export type RateOption = number | Rate;

/**
 * Rate limits by token buckets, which the nodes of one Redis share. A call over a limit is refused with RATE_LIMITED, a
 * stream with TOO_MANY_NEW_STREAMS, both with the delay until it may be repeated. The nodes may exceed a limit for a moment,
 * by a burst for each further node at most.
 */
export interface LimitOptions {
  /** Messages of one tenant: a batch counts its inbox entries, one for each user that it names. Default: no limit. */
  readonly publishesPerTenant?: RateOption;
  /**
   * Messages that one service or admin publishes, counted in the same way. A credential is the subject of its tokens, within
   * its tenant, and not a single token: a fresh one has no fresh limit. Default: no limit.
   */
  readonly publishesPerCredential?: RateOption;
  /** Messages that one user publishes. Default 20 per second, and a burst of 100. */
  readonly publishesPerUser?: RateOption;
  /** Bytes of content and payload that are published in one tenant. Default: no limit. */
  readonly bytesPerTenant?: RateOption;
  /** Bytes of content and payload that one service or admin publishes. Default: no limit. */
  readonly bytesPerCredential?: RateOption;
  /** Bytes of content and payload that one user publishes. Default 1 MiB per second, and a burst of 8 MiB. */
  readonly bytesPerUser?: RateOption;
  /**
   * Calls of one user other than Publish and Subscribe, which list, mark or count messages; and the frames that mark messages
   * on the WebSocket bridge. Default 50 per second, and a burst of 200.
   */
  readonly callsPerUser?: RateOption;
  /**
   * Rooms, direct ones included, to which one user is the first to publish a message that is stored. Default 0.02 per second,
   * which is 72 per hour, and a burst of 60.
   */
  readonly newRoomsPerUser?: RateOption;
  /** Streams that one user opens. Default 10 per second, and a burst of 100. */
  readonly newStreamsPerUser?: RateOption;
  /**
   * Streams that are opened from one IPv4 address, or one /64 of IPv6; behind `trustedProxies`, from the address that they
   * report. Many users may share an address, and internal addresses, which are most likely those of proxies, have no limit.
   * Default 250 per second, and a burst of 2,500.
   */
  readonly newStreamsPerAddress?: RateOption;
}

/** The name of a rate limit, as its option has it. */
export type LimitName = keyof LimitOptions;

/** LimitOptions with the defaults filled in; a limit that is Infinity is undefined. */
export type LimitSettings = Readonly<Record<LimitName, Rate | undefined>>;

/** Quotas of each tenant on what it stores. A message beyond one is refused with QUOTA_EXCEEDED. */
export interface QuotaOptions {
  /** Bytes of the messages that the store keeps for a tenant. Default: no limit. */
  readonly storedBytesPerTenant?: number;
  /**
   * Feeds of a tenant: one for each user, and each room, that anything was ever published to, and two of the tenant itself.
   * Default: no limit.
   */
  readonly feedsPerTenant?: number;
}

/** The name of a quota, as its option has it. */
export type QuotaName = keyof QuotaOptions;

/** QuotaOptions with the defaults filled in; Infinity is no limit. */
export type QuotaSettings = Readonly<Record<QuotaName, number>>;

/** The names of all quotas. */
export const quotaNames: readonly QuotaName[] = ["storedBytesPerTenant", "feedsPerTenant"];

const mebibyte = 1024 * 1024;

/** The limits and their defaults; undefined for no limit. */
export const defaultLimits: LimitSettings = {
  publishesPerTenant: undefined,
  publishesPerCredential: undefined,
  publishesPerUser: { perSecond: 20, burst: 100 },
  bytesPerTenant: undefined,
  bytesPerCredential: undefined,
  bytesPerUser: { perSecond: mebibyte, burst: 8 * mebibyte },
  callsPerUser: { perSecond: 50, burst: 200 },
  newRoomsPerUser: { perSecond: 0.02, burst: 60 },
  newStreamsPerUser: { perSecond: 10, burst: 100 },
  newStreamsPerAddress: { perSecond: 250, burst: 2_500 },
};

/** The names of all rate limits. */
export const limitNames = Object.keys(defaultLimits) as readonly LimitName[];

/** The burst of a rate that names none, in seconds of it. */
const burstSeconds = 5;

/** Fills in the defaults. Throws a RangeError that names the first limit that is no rate. */
export function resolveLimits(options: LimitOptions = {}): LimitSettings {
  const entries = limitNames.map((name) => {
    const given = options[name];
    return [name, given === undefined ? defaultLimits[name] : resolveRate(`limits.${name}`, given)];
  });
  return Object.fromEntries(entries) as LimitSettings;
}

/** Fills in the defaults. Throws a RangeError that names the first quota below 1. */
export function resolveQuotas(options: QuotaOptions = {}): QuotaSettings {
  const { storedBytesPerTenant = Number.POSITIVE_INFINITY, feedsPerTenant = Number.POSITIVE_INFINITY } = options;
  const settings = { storedBytesPerTenant, feedsPerTenant };
  for (const name of quotaNames) {
    if (!(settings[name] >= 1)) throw new RangeError(`quotas.${name}: must be a number of at least 1`);
  }
  return settings;
}

function resolveRate(name: string, option: RateOption): Rate | undefined {
  const perSecond = typeof option === "number" ? option : option.perSecond;
  if (perSecond === Number.POSITIVE_INFINITY) return undefined;
  const burst = typeof option === "number" ? Math.max(1, burstSeconds * perSecond) : option.burst;
  if (!Number.isFinite(perSecond) || perSecond <= 0) {
    throw new RangeError(`${name}: must be a number of more than 0 per second, or Infinity for no limit`);
  }
  if (!Number.isFinite(burst) || burst < 1) throw new RangeError(`${name}.burst: must be a number of at least 1`);
  return { perSecond, burst };
}
