import type { ConnectError } from "@connectrpc/connect";
import { type Identity, isUser, type UserIdentity } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import type { LimitName, LimitSettings } from "../limit-options.ts";
import type { Counters } from "../metrics/counters.ts";
import type { Random } from "../ports/clock.ts";
import type { Charge, RateLimiter, Refusal } from "../ports/rate-limiter.ts";
import { joinKey } from "../util/keys.ts";

/** What a limit counts, and whose, for sentences such as "the user may publish 20 messages a second". */
const meanings: Readonly<Record<LimitName, readonly [whose: string, what: string]>> = {
  publishesPerTenant: ["the tenant", "publish {} messages"],
  publishesPerCredential: ["the service", "publish {} messages"],
  publishesPerUser: ["the user", "publish {} messages"],
  bytesPerTenant: ["the tenant", "publish {} bytes"],
  bytesPerCredential: ["the service", "publish {} bytes"],
  bytesPerUser: ["the user", "publish {} bytes"],
  callsPerUser: ["the user", "make {} calls"],
  newRoomsPerUser: ["the user", "be the first to publish to {} rooms"],
  newStreamsPerUser: ["the user", "open {} streams"],
  newStreamsPerAddress: ["the address", "open {} streams"],
};

/** What a publish takes from the limits. */
export interface PublishCost {
  /** Inbox entries: one for each user that a request names, or one for a whole audience. */
  readonly entries: number;
  /** Bytes of content and payload. */
  readonly bytes: number;
}

/** The shortest delay of a refused stream, in ms: clients take no shorter one, and back off by themselves. */
const leastStreamRetryMs = 500;
/** The longest time over which refused streams are spread, in ms. */
const longestSpreadMs = 20_000;

/** Applies the rate limits to callers. */
export class Limits {
  readonly #limiter: RateLimiter | undefined;
  readonly #settings: LimitSettings;
  readonly #counters: Counters;
  readonly #random: Random;
  readonly #limitsUsers: boolean;
  readonly #limitsServices: boolean;

  /** Without a limiter nothing is limited. */
  constructor(
    limiter: RateLimiter | undefined,
    settings: LimitSettings,
    { counters, random }: { counters: Counters; random: Random },
  ) {
    this.#limiter = limiter;
    this.#settings = settings;
    this.#counters = counters;
    this.#random = random;
    const isSet = (...names: LimitName[]) => limiter !== undefined && names.some((name) => settings[name]);
    this.#limitsUsers = isSet("publishesPerUser", "bytesPerUser", "publishesPerTenant", "bytesPerTenant");
    this.#limitsServices = isSet(
      "publishesPerCredential",
      "bytesPerCredential",
      "publishesPerTenant",
      "bytesPerTenant",
    );
  }

  /** Reports whether `publish` may refuse this caller. By default no service has a limit. */
  limitsPublishes(caller: Identity): boolean {
    return isUser(caller) ? this.#limitsUsers : this.#limitsServices;
  }

  /**
   * Returns the error RATE_LIMITED if the caller, or the tenant, has published too much for now, and otherwise counts what it
   * is about to publish. `tenant` is undefined for messages to everyone.
   */
  publish(caller: Identity, tenant: string | undefined, { entries, bytes }: PublishCost): ConnectError | undefined {
    const own = joinKey(caller.tenant ?? "", caller.subject);
    const charges = isUser(caller)
      ? [this.#charge("publishesPerUser", own, entries), this.#charge("bytesPerUser", own, bytes)]
      : [this.#charge("publishesPerCredential", own, entries), this.#charge("bytesPerCredential", own, bytes)];
    if (tenant !== undefined) {
      charges.push(this.#charge("publishesPerTenant", tenant, entries), this.#charge("bytesPerTenant", tenant, bytes));
    }
    const refusal = this.#take(charges);
    return refusal && rateLimited(refusal);
  }

  /**
   * Throws RATE_LIMITED if the user has made too many calls, and otherwise counts one. Services may make any number: what
   * one of their calls costs others does not grow with what users do.
   */
  call(caller: Identity): void {
    if (!isUser(caller)) return;
    const refusal = this.#take([this.#charge("callsPerUser", joinKey(caller.tenant, caller.subject), 1)]);
    if (refusal) throw rateLimited(refusal);
  }

  /** Throws RATE_LIMITED if the user has brought too many rooms into being, and otherwise counts one. */
  newRoom(user: UserIdentity): void {
    const refusal = this.#take([this.#charge("newRoomsPerUser", joinKey(user.tenant, user.subject), 1)]);
    if (refusal) throw rateLimited(refusal);
  }

  /**
   * Throws TOO_MANY_NEW_STREAMS if the user, or the address, has opened too many streams. The delays of refused streams are
   * spread over the time in which the bucket fills: with one delay for all, they would all return at once again. `address`
   * is undefined for a stream without a limit by address.
   */
  newStream(caller: Identity, address: string | undefined): void {
    const refusal = this.#take([
      isUser(caller) ? this.#charge("newStreamsPerUser", joinKey(caller.tenant, caller.subject), 1) : undefined,
      address === undefined ? undefined : this.#charge("newStreamsPerAddress", address, 1),
    ]);
    if (!refusal) return;
    const { perSecond, burst } = refusal.charge.rate;
    const spreadMs = Math.min((burst / perSecond) * 1000, longestSpreadMs);
    const retryAfterMs = Math.ceil(
      Math.max(refusal.retryAfterMs, leastStreamRetryMs) + this.#random.fraction() * spreadMs,
    );
    const sentence = `${sentenceOf(refusal.charge)}; come back after the delay`;
    throw fail("TOO_MANY_NEW_STREAMS", sentence, { retryAfterMs, metadata: metadataOf(refusal.charge) });
  }

  #charge(limit: LimitName, key: string, cost: number): Charge | undefined {
    const rate = this.#settings[limit];
    return rate && { limit, key, rate, cost };
  }

  #take(charges: readonly (Charge | undefined)[]): Refusal | undefined {
    const limited = charges.filter((charge) => charge !== undefined);
    if (limited.length === 0) return undefined;
    const refusal = this.#limiter?.take(limited);
    if (refusal) this.#counters.limited(refusal.charge.limit as LimitName);
    return refusal;
  }
}

function rateLimited({ charge, retryAfterMs }: Refusal): ConnectError {
  const sentence = `${sentenceOf(charge)}; repeat the request after the delay`;
  return fail("RATE_LIMITED", sentence, { retryAfterMs, metadata: metadataOf(charge) });
}

function sentenceOf({ limit, rate }: Charge): string {
  const [whose, what] = meanings[limit as LimitName];
  const isSlow = rate.perSecond < 1;
  const number = isSlow ? Math.round(rate.perSecond * 3600) : rate.perSecond;
  return `${whose} may ${what.replace("{}", `${number}`)} ${isSlow ? "an hour" : "a second"}, and ${rate.burst} at once`;
}

/** The variable parts of the sentence: the option, its rate and burst, and what the request would have taken. */
function metadataOf({ limit, rate, cost }: Charge): Record<string, string> {
  return { option: `limits.${limit}`, limit: `${rate.perSecond}`, burst: `${rate.burst}`, cost: `${cost}` };
}
