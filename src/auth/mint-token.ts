/** Mints the tokens that a server with an HS256 secret accepts. */
import { SignJWT } from "jose";
import { secretFault } from "../util/secret-fault.ts";
import { isActorName, isAvatarUrl, isGrants, isId, maxGrants } from "./claims.ts";

/** The claims of a token. */
export interface TokenClaims {
  /** The id of a user or a service: 1 to 128 characters without control characters. */
  readonly sub: string;
  /** The tenant, in the same form. Only a service or an admin may go without; each of its requests then names a tenant. */
  readonly tenant?: string;
  /** What the bearer may do: read an inbox, publish, or operate. */
  readonly role: "user" | "service" | "admin";
  /** When the token expires, in seconds since the Unix epoch. A server refuses it beyond its option `auth.maxTokenDays`. */
  readonly exp: number;
  /** When the token was issued, in seconds since the Unix epoch. Default: `now`. */
  readonly iat?: number;
  /** The issuer, for servers that require one. */
  readonly iss?: string;
  /** The audience, for servers that require one. */
  readonly aud?: string;
  /** The token's id, by which it can be disconnected and blocked. */
  readonly jti?: string;
  /** The user's name, which the messages of the user have as `actor.name`: at most 256 characters. */
  readonly name?: string;
  /** The URL of the user's picture, which they have as `actor.avatar_url`: https, http or a path, at most 2,048 characters. */
  readonly picture?: string;
  /** The rooms that a user may enter: ids, or patterns with `*`, `**` and `{sub}`. */
  readonly rooms?: readonly string[];
  /** The rooms that a user may publish to, in the same form. */
  readonly publish?: readonly string[];
  /**
   * The rooms that a user may take over, by entering with LAST, which kicks everybody else; in the same form. To enter
   * takes `rooms` as well.
   */
  readonly takeover?: readonly string[];
}

/** 100 years: a time further away was written in milliseconds. */
const longestSeconds = 3_153_600_000;

/**
 * Signs a JWT with HS256. `now` is in seconds since the Unix epoch and defaults to the machine's clock. Throws a
 * RangeError for a weak secret, and one that names the claim for a claim that every server refuses.
 */
export async function mintToken(secret: string, claims: TokenClaims, now?: number): Promise<string> {
  const seconds = Math.floor(now ?? Date.now() / 1000);
  const fault = secretFault(secret);
  if (fault !== undefined) throw new RangeError(`secret: ${fault}`);
  checkClaims(claims, seconds);
  const { sub, tenant, role, exp, iat = seconds, iss, aud, jti, name, picture, rooms, publish, takeover } = claims;
  const jwt = new SignJWT({
    ...(tenant === undefined ? {} : { tenant }),
    role,
    ...(name === undefined ? {} : { name }),
    ...(picture === undefined ? {} : { picture }),
    ...(rooms?.length ? { rooms } : {}),
    ...(publish?.length ? { publish } : {}),
    ...(takeover?.length ? { takeover } : {}),
  })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(sub)
    .setIssuedAt(iat)
    .setExpirationTime(exp);
  if (iss !== undefined) jwt.setIssuer(iss);
  if (aud !== undefined) jwt.setAudience(aud);
  if (jti !== undefined) jwt.setJti(jti);
  return jwt.sign(new TextEncoder().encode(secret));
}

function checkClaims(claims: TokenClaims, seconds: number): void {
  const { sub, tenant, role, exp, iat = seconds, iss = "", aud = "", jti } = claims;
  const { rooms = [], publish = [], takeover = [] } = claims;
  if (tenant === undefined && role === "user") throw new RangeError("tenant: a user belongs to a tenant; name it");
  for (const [name, id] of Object.entries({
    sub,
    ...(tenant === undefined ? {} : { tenant }),
    ...(jti === undefined ? {} : { jti }),
  })) {
    if (!isId(id))
      throw new RangeError(`${name}: must be a string of 1 to 128 characters, none of them control characters`);
  }
  if (role !== "user" && role !== "service" && role !== "admin") {
    throw new RangeError("role: must be user, service or admin");
  }
  for (const [name, text] of Object.entries({ iss, aud })) {
    if (typeof text !== "string") throw new RangeError(`${name}: must be a string`);
  }
  if (!isActorName(claims.name ?? "")) {
    throw new RangeError("name: must have at most 256 characters, none of them control characters");
  }
  if (!isAvatarUrl(claims.picture ?? "/")) {
    throw new RangeError("picture: must be an https or http URL or a path, of at most 2,048 characters");
  }
  for (const [name, grants] of Object.entries({ rooms, publish, takeover })) {
    if (!isGrants(grants)) throw new RangeError(`${name}: must be a list of at most ${maxGrants} room ids or patterns`);
  }
  if (!Number.isSafeInteger(exp) || exp <= seconds) {
    throw new RangeError("exp: must be a whole number of seconds since 1970, in the future");
  }
  for (const [name, time] of Object.entries({ exp, iat })) {
    if (typeof time !== "number" || !(Math.abs(time - seconds) <= longestSeconds)) {
      throw new RangeError(`${name}: must be in seconds since 1970, not in milliseconds`);
    }
  }
}
