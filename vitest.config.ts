import { join } from "node:path";
import { defineConfig } from "vitest/config";

// Each store has a thread, and each command a process, of its own: what one has compiled is there for the next.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/node");

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
    globalSetup: "test/support/run-folder.ts",
    // Many of them wait for browsers, servers and clocks.
    maxWorkers: 3,
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
});
