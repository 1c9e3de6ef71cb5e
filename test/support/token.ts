import { type JWTPayload, SignJWT } from "jose";

/** The secret of the tests, which is long enough for HS256. */
export const secret = "a secret of the tests, 0123456789";

/** The parts of a token. All have defaults; a claim that is `undefined` is left out. */
export interface TokenParts {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly alg?: string;
  readonly kid?: string;
  readonly key?: Parameters<SignJWT["sign"]>[0];
}

/** The default lifetime of mintToken's tokens, in seconds. */
const lifetimeSeconds = 86_400;

/** Signs a token, by default of the user ann of the tenant acme. */
export async function mintToken({ claims, alg = "HS256", kid, key }: TokenParts = {}): Promise<string> {
  const exp = Math.floor(Date.now() / 1000) + lifetimeSeconds;
  const all: JWTPayload = { sub: "ann", tenant: "acme", role: "user", exp, ...claims };
  const header = { alg, ...(kid === undefined ? {} : { kid }) };
  return new SignJWT(all).setProtectedHeader(header).sign(key ?? new TextEncoder().encode(secret));
}
