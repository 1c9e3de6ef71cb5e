import { type JWTPayload, SignJWT } from "jose";

/** A secret that is strong enough. */
export const secret = "a secret of the tests, 0123456789";

/** What to sign, and how: everything has a plain default, `undefined` leaves a claim out. */
export interface TokenParts {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly alg?: string;
  readonly kid?: string;
  readonly key?: Parameters<SignJWT["sign"]>[0];
}

/** When the tokens of mintToken end, in seconds since the Unix epoch, unless they say otherwise. */
export const tokenExpiry = 1_900_000_000;

/** Signs a token of the user ann of the tenant acme. */
export async function mintToken({ claims, alg = "HS256", kid, key }: TokenParts = {}): Promise<string> {
  const all: JWTPayload = { sub: "ann", tenant: "acme", role: "user", exp: tokenExpiry, ...claims };
  const header = { alg, ...(kid === undefined ? {} : { kid }) };
  return new SignJWT(all).setProtectedHeader(header).sign(key ?? new TextEncoder().encode(secret));
}
