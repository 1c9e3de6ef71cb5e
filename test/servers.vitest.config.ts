import { defineConfig } from "vitest/config";
import { withServers } from "../vitest.config.ts";

/** `npm run test:servers`: adapters, nodes and proxies against real servers, which tests start on free ports. */
export default defineConfig({
  test: {
    include: withServers,
    maxWorkers: 2,
    // FerretDB finds documents by scanning, which is slow.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
