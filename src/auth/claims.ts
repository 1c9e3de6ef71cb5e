/** The claims of a token that Tidings reads, and their rules. */
import type { ConnectError } from "@connectrpc/connect";
import type { AuthSettings } from "../auth-options.ts";
import { fail } from "../errors.ts";
import { dayMs } from "../util/durations.ts";
import type { Identity } from "./identity.ts";

/** The rules that a server sets for claims. */
export type ClaimRules = Pick<AuthSettings, "issuer" | "audience" | "leewayMs" | "maxTokenDays">;

/** The most grants that a token may have in each of its claims `rooms`, `publish` and `takeover`. */
export const maxGrants = 100;
/** A grant is at most as long as the id of a room. */
const grantPattern = /^[^\p{Cc}\p{Cs}]{1,320}$/u;
/**
 * Excludes control characters, and lone surrogates, because a store that encodes ids as UTF-8 would make two such ids
 * equal.
 */
const idPattern = /^[^\p{Cc}\p{Cs}]{1,128}$/u;
/** The year 5138 in seconds, but 1973 in milliseconds: a later time was written in milliseconds. */
const latestSeconds = 1e11;

/** The most characters of a name and of an avatar's URL in the contract. */
const maxNameLength = 256;
const maxUrlLength = 2048;
/**
 * The links of the contract (tidings/validate/v1/rules.proto) that are absolute or begin with a slash. What is neither is
 * relative to the page that shows it, and so is no address of a picture.
 */
const picturePattern =
  /^(((https?:)?\/\/[^/?#@\\\s\p{Cc}\p{Cs}]+([/?#][^\\\s\p{Cc}\p{Cs}]*)?)|\/([^/\\\s\p{Cc}\p{Cs}][^\\\s\p{Cc}\p{Cs}]*)?)$/iu;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Reports whether a value can be the id of a user, a service, a tenant or a token. */
export function isId(value: unknown): value is string {
  return typeof value === "string" && idPattern.test(value);
}

/** Reports whether a value can be a list of grants: ids of rooms, or patterns. */
export function isGrants(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.length <= maxGrants &&
    value.every((grant) => typeof grant === "string" && grantPattern.test(grant))
  );
}

/** Reports whether a value can be the name of an actor. */
export function isActorName(value: unknown): value is string {
  return typeof value === "string" && !/[\p{Cc}\p{Cs}]/u.test(value) && [...value].length <= maxNameLength;
}

/** Reports whether a value can be the URL of an actor's picture: https, http, or a path of the page's own site. */
export function isAvatarUrl(value: unknown): value is string {
  return typeof value === "string" && picturePattern.test(value) && [...value].length <= maxUrlLength;
}

/** Reports whether a time since the Unix epoch is in milliseconds, where it should be in seconds. */
export function isInMilliseconds(time: number): boolean {
  return time > latestSeconds;
}

/**
 * Returns the identity in the claims of a token whose signature was verified. `now` is in ms since the Unix epoch. Throws
 * TOKEN_EXPIRED, or TOKEN_INVALID with the name of the invalid claim in its metadata. `name` and `picture`, which identity
 * providers set for many purposes, are left out where the contract does not allow their values.
 */
export function readClaims(payload: Uint8Array, rules: ClaimRules, now: number): Identity {
  const claims = parse(payload);
  const expireTime = checkExpiry(claims.exp, rules, now);
  checkIssuer(claims, rules);
  checkStart("nbf", claims.nbf, rules, now);
  checkStart("iat", claims.iat, rules, now);
  const { role, tenant } = claims;
  if (role !== "user" && role !== "service" && role !== "admin") throw wrong("role", "must be user, service or admin");
  if (tenant === undefined && role === "user") throw wrong("tenant", "is missing; a user belongs to a tenant");
  return {
    subject: readId("sub", claims.sub),
    tenant: tenant === undefined ? undefined : readId("tenant", tenant),
    role,
    expireTime,
    tokenId: claims.jti === undefined ? "" : readId("jti", claims.jti),
    name: isActorName(claims.name) ? claims.name : "",
    avatarUrl: isAvatarUrl(claims.picture) ? claims.picture : "",
    rooms: readGrants("rooms", claims.rooms),
    publish: readGrants("publish", claims.publish),
    takeover: readGrants("takeover", claims.takeover),
  };
}

/** The claims as JSON has them, with values of any type. */
type RawClaims = Readonly<Record<string, unknown>>;

function parse(payload: Uint8Array): RawClaims {
  try {
    const claims: unknown = JSON.parse(utf8.decode(payload));
    if (typeof claims === "object" && claims !== null && !Array.isArray(claims)) return claims as RawClaims;
  } catch {
    // Thrown below: the errors of both parsers quote the token.
  }
  throw fail("TOKEN_INVALID", "the token's payload is not a JSON object of claims");
}

/** Returns when the token expires, in ms since the Unix epoch. */
function checkExpiry(exp: unknown, { maxTokenDays }: ClaimRules, now: number): number {
  if (exp === undefined) throw wrong("exp", "is missing; set it to the expiry, in seconds since 1970");
  if (typeof exp !== "number") throw wrong("exp", "must be a number: seconds since 1970");
  const expireTime = Math.round(exp * 1000);
  if (expireTime <= now) throw expired();
  if (expireTime <= now + maxTokenDays * dayMs) return expireTime;
  if (isInMilliseconds(exp)) throw wrong("exp", "is in milliseconds; divide it by 1,000, as it counts seconds");
  throw wrong("exp", `is more than ${maxTokenDays} days away; give the token a shorter life`);
}

/** Checks a time that must not lie ahead. The leeway is for issuers with a clock ahead of this one: tokens are used at once. */
function checkStart(claim: "nbf" | "iat", time: unknown, { leewayMs }: ClaimRules, now: number): void {
  if (time === undefined) return;
  if (typeof time !== "number") throw wrong(claim, "must be a number: seconds since 1970");
  const aheadMs = Math.round(time * 1000) - now;
  if (aheadMs <= leewayMs) return;
  if (isInMilliseconds(time)) throw wrong(claim, "is in milliseconds; divide it by 1,000, as it counts seconds");
  throw wrong(claim, `is ${Math.ceil(aheadMs / 1000)} s in the future; compare the issuer's clock with the server's`);
}

function checkIssuer({ iss, aud }: RawClaims, { issuer, audience }: ClaimRules): void {
  if (issuer !== undefined && iss !== issuer) throw wrong("iss", "is missing or names another issuer");
  if (audience === undefined || aud === audience || (Array.isArray(aud) && aud.includes(audience))) return;
  throw wrong("aud", "is missing or names another audience");
}

function readId(claim: string, value: unknown): string {
  if (isId(value)) return value;
  if (value === undefined) throw wrong(claim, "is missing");
  if (typeof value !== "string") throw wrong(claim, "must be a string; write a number in quotes");
  throw wrong(claim, "must have 1 to 128 characters, none of them control characters");
}

function readGrants(claim: string, value: unknown = []): readonly string[] {
  if (isGrants(value)) return value;
  throw wrong(claim, `must be a list of at most ${maxGrants} room ids or patterns`);
}

/** Returns the error for a token that has expired. */
export function expired(): ConnectError {
  return fail("TOKEN_EXPIRED", "the token has expired; get a fresh one");
}

function wrong(claim: string, rule: string): ConnectError {
  return fail("TOKEN_INVALID", `the token's claim \`${claim}\` ${rule}`, { metadata: { claim } });
}
