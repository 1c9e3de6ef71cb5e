import { mintToken } from "../src/auth/mint-token.ts";

/** A secret for one machine and one run. */
export const benchSecret = "benchmarks-only-0123456789-abcdefghij";

/** Where everything happens unless a table needs several. */
export const benchTenant = "acme";

/** A day: longer than any run. */
const lifeSeconds = 86_400;

/** A user's token that outlives the run. */
export function userToken(user: string, tenant = benchTenant, rooms: readonly string[] = []): Promise<string> {
  const now = seconds();
  return mintToken(benchSecret, { sub: user, tenant, role: "user", exp: now + lifeSeconds, rooms }, now);
}

/** A service's token; it names the tenant in each request. */
export function serviceToken(): Promise<string> {
  const now = seconds();
  return mintToken(benchSecret, { sub: "bench", role: "service", exp: now + lifeSeconds }, now);
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
