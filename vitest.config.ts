import { defineConfig } from "vitest/config";

/** What needs other servers (Redis, one of MongoDB's protocol, nginx, Caddy): `npm run test:servers`. */
export const withServers = [
  "test/adapters/mongo-*.test.ts",
  "test/adapters/redis-*.test.ts",
  "test/deploy/{nginx,caddy}.test.ts",
  "test/e2e/nodes.test.ts",
];

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/faults/**", ...withServers],
    // Many of them wait for browsers, servers and clocks.
    maxWorkers: 3,
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
});
