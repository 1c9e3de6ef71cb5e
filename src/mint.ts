import { SignJWT } from "jose";

/** The claims of a token. */
export interface TokenClaims {
  /** User or service id. */
  readonly sub: string;
  /** Absent for a service or admin that is not bound to one tenant. */
  readonly tenant?: string;
  readonly role: "user" | "service" | "admin";
  /** Seconds since the Unix epoch. */
  readonly exp: number;
  readonly iss?: string;
  readonly aud?: string;
}

/** Signs a token with HS256. `now`: seconds since the Unix epoch. */
export function mintToken(secret: string, claims: TokenClaims, now: number): Promise<string> {
  return new SignJWT({ ...claims }).setProtectedHeader({ alg: "HS256", typ: "JWT" }).setIssuedAt(now).sign(new TextEncoder().encode(secret));
}
