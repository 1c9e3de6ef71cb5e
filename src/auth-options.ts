/** The options of tokens: how they are verified. */
import { atLeast } from "./util/at-least.ts";
import { isCookieName } from "./util/cookies.ts";
import { secretFault } from "./util/secret-fault.ts";

/** How tokens are verified. Exactly one of `secret` and `jwksUrl`. */
export interface AuthOptions {
  /**
   * HS256 secret: at least 32 random bytes. A list of up to four is for rotation: tokens may be signed with any of them, so
   * that the tokens of an old secret work until they expire or the secret is removed.
   */
  readonly secret?: string | readonly string[];
  /** https URL of a JSON Web Key Set for RS256, PS256, ES256 and EdDSA tokens; http for a loopback address only. */
  readonly jwksUrl?: string;
  /** The `iss` that tokens must carry. Default: not checked. */
  readonly issuer?: string;
  /** The `aud` that tokens must carry. Default: not checked. */
  readonly audience?: string;
  /** How far in the future `nbf` and `iat` of a token may be, because clocks differ, in milliseconds. Default 30,000. */
  readonly leewayMs?: number;
  /** How far in the future `exp` of a token may be, in days. Default 400. */
  readonly maxTokenDays?: number;
  /** Interval at which the key set is fetched in the background, in milliseconds. Default 300,000. */
  readonly jwksRefreshMs?: number;
  /** How long the last known key set is used while it cannot be fetched, in milliseconds. Default 3,600,000. */
  readonly jwksMaxStaleMs?: number;
  /**
   * Name of a cookie that has the token, for pages that read feeds by an EventSource, which can send no header. It counts for
   * `GET /stream/…` only, and only for pages of the same origin, or of one that `allowedOrigins` names. Default: none.
   */
  readonly cookie?: string;
}

/** AuthOptions with the defaults filled in. */
export interface AuthSettings
  extends Required<Omit<AuthOptions, "secret" | "jwksUrl" | "issuer" | "audience" | "cookie">> {
  /** Empty where `jwksUrl` is set. */
  readonly secrets: readonly string[];
  readonly jwksUrl: string | undefined;
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  readonly cookie: string | undefined;
}

/** Fills in the defaults. Throws a TypeError or RangeError that names the first option that is wrong. */
export function resolveAuth(auth: AuthOptions | undefined): AuthSettings {
  if (auth === undefined) throw new TypeError("auth: give exactly one of secret and jwksUrl");
  const { secret, jwksUrl, issuer, audience, cookie } = auth;
  if ((secret === undefined) === (jwksUrl === undefined)) {
    throw new TypeError("auth: give exactly one of secret and jwksUrl");
  }
  if (jwksUrl !== undefined && !isKeySetUrl(jwksUrl)) throw new TypeError(`auth.jwksUrl: must be ${keySetUrlRule}`);
  if (cookie !== undefined && !isCookieName(cookie)) throw new TypeError("auth.cookie: must be the name of a cookie");
  const jwksRefreshMs = atLeast("auth.jwksRefreshMs", auth.jwksRefreshMs ?? 300_000, 1_000);
  const jwksMaxStaleMs = auth.jwksMaxStaleMs ?? Math.max(3_600_000, jwksRefreshMs);
  return {
    secrets: secret === undefined ? [] : resolveSecrets(secret),
    jwksUrl,
    issuer,
    audience,
    cookie,
    leewayMs: atLeast("auth.leewayMs", auth.leewayMs ?? 30_000, 0),
    maxTokenDays: atLeast("auth.maxTokenDays", auth.maxTokenDays ?? 400, 1),
    jwksRefreshMs,
    // A set that is stale before it is fetched again would refuse every caller in between.
    jwksMaxStaleMs: atLeast("auth.jwksMaxStaleMs", jwksMaxStaleMs, jwksRefreshMs),
  };
}

/** The most secrets at a time: a token that is refused costs a verification for each. */
const maxSecrets = 4;

/** Checks the secrets of the option `auth.secret`. Throws a RangeError for the first that is wrong. */
export function resolveSecrets(secret: string | readonly string[]): readonly string[] {
  const secrets = typeof secret === "string" ? [secret] : [...secret];
  if (secrets.length === 0 || secrets.length > maxSecrets) {
    throw new RangeError(`auth.secret: give 1 to ${maxSecrets} secrets`);
  }
  for (const each of secrets) {
    const fault = secretFault(each);
    if (fault !== undefined) throw new RangeError(`auth.secret: ${fault}`);
  }
  return secrets;
}

/** The rule of a key set's URL, to follow the words "must be" in an error. */
export const keySetUrlRule =
  "an https URL without user, password or fragment, or an http URL of this machine, because a key set that is altered on its way can verify any token";

/** Reports whether a key set may be fetched from this URL. */
export function isKeySetUrl(url: string): boolean {
  const { protocol, hostname, username, password, hash } = URL.parse(url) ?? {};
  if (username || password || hash) return false;
  return protocol === "https:" || (protocol === "http:" && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname ?? ""));
}
