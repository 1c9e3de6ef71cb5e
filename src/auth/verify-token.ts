import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose";
import { fail } from "../errors.ts";
import type { AuthOptions } from "../options.ts";
import type { Clock } from "../ports/clock.ts";
import { LruCache } from "../util/lru.ts";
import type { Identity } from "./identity.ts";

/**
 * Verifies a JWT and returns the identity of its bearer. Rejects with TOKEN_MISSING, TOKEN_INVALID or TOKEN_EXPIRED, or
 * with KEYS_UNAVAILABLE when the key set cannot be fetched.
 */
export type Authenticate = (token: string | undefined) => Promise<Identity>;

/** Size of the cache of verified tokens: verifying costs 50 µs, and a caller sends the same token with every call. */
const maxCachedTokens = 10_000;
/** The most grants that a token may have in each of its claims `rooms` and `publish`. */
const maxGrants = 100;
/** A grant is at most as long as the id of a room. */
const grantPattern = /^[^\p{Cc}\p{Cs}]{1,320}$/u;
/**
 * Excludes control characters, and lone surrogates, because a store that encodes ids as UTF-8 would make two such ids
 * equal.
 */
const idPattern = /^[^\p{Cc}\p{Cs}]{1,128}$/u;

/** Creates the check that every call passes before its body is read. */
export function createAuthenticate(auth: AuthOptions, clock: Clock): Authenticate {
  const verify = createVerify(auth, clock);
  const cached = new LruCache<string, Identity>({ entries: maxCachedTokens });
  return async (token) => {
    if (!token) throw fail("TOKEN_MISSING", "send a JWT as `Authorization: Bearer <token>`");
    const known = cached.get(token);
    const identity = known ?? toIdentity(await verify(token));
    if (identity.expireTime <= clock.now()) {
      cached.delete(token);
      throw fail("TOKEN_EXPIRED", "the token has expired; get a fresh one");
    }
    if (!known) cached.set(token, identity);
    return identity;
  };
}

/** Returns the token of an Authorization header of the scheme Bearer (RFC 6750), undefined for any other header. */
export function bearerToken(header: string | null): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(header ?? "")?.[1];
}

function createVerify(auth: AuthOptions, clock: Clock): (token: string) => Promise<JWTPayload> {
  const options = (algorithms: string[]): JWTVerifyOptions => ({
    algorithms,
    requiredClaims: ["exp", "sub"],
    currentDate: new Date(clock.now()),
    ...(auth.issuer === undefined ? {} : { issuer: auth.issuer }),
    ...(auth.audience === undefined ? {} : { audience: auth.audience }),
  });
  const secret = new TextEncoder().encode(auth.secret);
  const keys = auth.jwksUrl === undefined ? undefined : createRemoteJWKSet(new URL(auth.jwksUrl));
  return async (token) => {
    try {
      const result = keys
        ? await jwtVerify(token, keys, options(["RS256", "PS256", "ES256", "EdDSA"]))
        : await jwtVerify(token, secret, options(["HS256"]));
      return result.payload;
    } catch (error) {
      throw toFailure(error);
    }
  };
}

/** Converts an error of jose. A key set that cannot be fetched is the server's fault: the caller may repeat the request. */
function toFailure(error: unknown): Error {
  if (error instanceof errors.JWTExpired) return fail("TOKEN_EXPIRED", "the token has expired; get a fresh one");
  if (error instanceof errors.JWTClaimValidationFailed) {
    return fail("TOKEN_INVALID", `the token's claim \`${error.claim}\` is missing or wrong`, {
      metadata: { claim: error.claim },
    });
  }
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return fail("TOKEN_INVALID", "several keys match the token; name one in its header `kid`");
  }
  const malformed = [
    errors.JWSInvalid,
    errors.JWTInvalid,
    errors.JWSSignatureVerificationFailed,
    errors.JOSEAlgNotAllowed,
    errors.JOSENotSupported,
  ];
  if (malformed.some((kind) => error instanceof kind) || error instanceof errors.JWKSNoMatchingKey) {
    return fail("TOKEN_INVALID", "the token is malformed, or not signed by a known key");
  }
  return fail("KEYS_UNAVAILABLE", "the key set cannot be fetched now; repeat the request", {
    cause: error,
    retryAfterMs: 1000,
  });
}

/** Checks every claim itself: jose has only checked that `exp` is a number and that `sub` is present. */
function toIdentity({ exp = 0, ...claims }: JWTPayload): Identity {
  const { sub, role, tenant, jti, rooms, publish } = claims as Readonly<Record<string, unknown>>;
  if (role !== "user" && role !== "service" && role !== "admin") {
    throw fail("TOKEN_INVALID", "the token's claim `role` must be user, service or admin", {
      metadata: { claim: "role" },
    });
  }
  if (typeof sub !== "string" || !idPattern.test(sub)) {
    throw fail("TOKEN_INVALID", "the token's claim `sub` must have 1 to 128 characters", {
      metadata: { claim: "sub" },
    });
  }
  const bound = typeof tenant === "string" && idPattern.test(tenant);
  if (!bound && (tenant !== undefined || role === "user")) {
    throw fail("TOKEN_INVALID", "the token's claim `tenant` must have 1 to 128 characters", {
      metadata: { claim: "tenant" },
    });
  }
  if (jti !== undefined && (typeof jti !== "string" || !idPattern.test(jti))) {
    throw fail("TOKEN_INVALID", "the token's claim `jti` must have 1 to 128 characters", {
      metadata: { claim: "jti" },
    });
  }
  return {
    subject: sub,
    tenant: bound ? tenant : undefined,
    role,
    expireTime: exp * 1000,
    tokenId: jti ?? "",
    rooms: toGrants("rooms", rooms),
    publish: toGrants("publish", publish),
  };
}

function toGrants(claim: string, value: unknown = []): readonly string[] {
  const valid =
    Array.isArray(value) &&
    value.length <= maxGrants &&
    value.every((grant) => typeof grant === "string" && grantPattern.test(grant));
  if (valid) return value as string[];
  const sentence = `the token's claim \`${claim}\` must be a list of at most ${maxGrants} room ids or patterns`;
  throw fail("TOKEN_INVALID", sentence, { metadata: { claim } });
}
