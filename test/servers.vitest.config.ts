import { defineConfig } from "vitest/config";
import { withServers } from "../vitest.config.ts";

/** `npm run test:servers`: adapters, nodes and proxies against real servers, which the tests start on free ports. */
export default defineConfig({
  test: {
    include: withServers,
    maxWorkers: 2,
    // A server of MongoDB's protocol that looks documents up by scanning takes its time.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
