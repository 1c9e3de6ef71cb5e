import { mintToken } from "../../src/auth/mint-token.ts";
import { dayMs } from "../../src/util/durations.ts";

/** The secret of all servers of a run. */
export const benchSecret = "benchmarks-only-0123456789-abcdefghij";

/** The tenant of all users, except in tables that need several tenants. */
export const benchTenant = "acme";

/** Lifetime of a token, in seconds: longer than any run. */
const lifetimeSeconds = dayMs / 1000;

/** A token of a user. */
export function userToken(user: string, tenant = benchTenant, rooms: readonly string[] = []): Promise<string> {
  const now = nowSeconds();
  return mintToken(benchSecret, { sub: user, tenant, role: "user", exp: now + lifetimeSeconds, rooms }, now);
}

/** A token of a service that is not bound to a tenant. */
export function serviceToken(): Promise<string> {
  const now = nowSeconds();
  return mintToken(benchSecret, { sub: "bench", role: "service", exp: now + lifetimeSeconds }, now);
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
