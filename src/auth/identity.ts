import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose";
import { fail } from "../errors.ts";
import type { AuthOptions } from "../options.ts";
import type { Clock } from "../ports/clock.ts";
import { LruCache } from "../util/lru.ts";

/** What a caller may do: read an inbox, publish, operate. */
export type Role = "user" | "service" | "admin";

/** Who calls, from a checked token; it cannot be made from request data. */
export interface Identity {
  /** Id of a user, or of a service. */
  readonly subject: string;
  /** Undefined for a service or admin that is not bound to one tenant. */
  readonly tenant: string | undefined;
  readonly role: Role;
  /** When the token ends, in ms since the Unix epoch. */
  readonly expireTime: number;
  /** The token's id (`jti`), "" without one. */
  readonly tokenId: string;
  /** Rooms that a user may enter (`rooms`): ids and patterns, see isGranted. */
  readonly rooms: readonly string[];
  /** Rooms that a user may publish to (`publish`), likewise. */
  readonly publish: readonly string[];
}

/** An identity with the role user. */
export interface UserIdentity extends Identity {
  readonly tenant: string;
  readonly role: "user";
}

/** Whether the caller is a user. */
export function isUser(identity: Identity): identity is UserIdentity {
  return identity.role === "user";
}

/** Checks a JWT. Throws UNAUTHENTICATED, or UNAVAILABLE when the key set cannot be fetched. */
export type Authenticate = (token: string | undefined) => Promise<Identity>;

/** Tokens remembered as good: a check costs 50 µs, and a caller shows the same token with each call. */
const rememberedTokens = 10_000;
/** Rooms that one token may name, each way. */
const maxGrants = 100;
/** A grant is at most as long as a room's id. */
const grantPattern = /^[^\p{Cc}\p{Cs}]{1,320}$/u;
/** No control characters, and no half of a surrogate pair: a store would turn two such ids into one. */
const idPattern = /^[^\p{Cc}\p{Cs}]{1,128}$/u;

/** Makes the check that every call passes before its body is read. */
export function createAuthenticate(auth: AuthOptions, clock: Clock): Authenticate {
  const verify = createVerify(auth, clock);
  const remembered = new LruCache<string, Identity>({ entries: rememberedTokens });
  return async (token) => {
    if (!token) throw fail("TOKEN_MISSING", "send a JWT as `Authorization: Bearer <token>`");
    const known = remembered.get(token);
    const identity = known ?? toIdentity(await verify(token));
    if (identity.expireTime <= clock.now()) {
      remembered.delete(token);
      throw fail("TOKEN_EXPIRED", "the token has expired; get a fresh one");
    }
    if (!known) remembered.set(token, identity);
    return identity;
  };
}

/** The token of an Authorization header, undefined when there is none of the scheme Bearer (RFC 6750). */
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

/** A key set that cannot be fetched is the server's trouble, not the caller's. */
function toFailure(error: unknown): Error {
  if (error instanceof errors.JWTExpired) return fail("TOKEN_EXPIRED", "the token has expired; get a fresh one");
  if (error instanceof errors.JWTClaimValidationFailed) {
    return fail("TOKEN_INVALID", `the token's claim \`${error.claim}\` is missing or wrong`, {
      metadata: { claim: error.claim },
    });
  }
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return fail("TOKEN_INVALID", "several keys fit the token; name one in its header `kid`");
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

/** Nothing about the claims is known but what jose has checked: that `exp` is a number, and that `sub` is there. */
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
    rooms: grants("rooms", rooms),
    publish: grants("publish", publish),
  };
}

function grants(claim: string, value: unknown = []): readonly string[] {
  const good =
    Array.isArray(value) &&
    value.length <= maxGrants &&
    value.every((grant) => typeof grant === "string" && grantPattern.test(grant));
  if (good) return value as string[];
  const sentence = `the token's claim \`${claim}\` must be a list of at most ${maxGrants} room ids or patterns`;
  throw fail("TOKEN_INVALID", sentence, { metadata: { claim } });
}
