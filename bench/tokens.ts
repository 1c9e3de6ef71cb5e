import { mintToken } from "../src/mint.ts";

/** A secret for one machine and one run. */
export const benchSecret = "benchmarks-only-0123456789-abcdefghij";

/** A token that outlives the run. */
export function benchToken(role: "user" | "service", sub: string, rooms: readonly string[] = []): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return mintToken(benchSecret, { sub, tenant: "acme", role, exp: now + 86_400, rooms }, now);
}
