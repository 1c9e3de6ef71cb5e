import { join } from "node:path";
import { defineConfig } from "vitest/config";

// Many processes are started: one that exits by itself leaves its compiled code for the next ones.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "../../node_modules/.cache/node");

/** `npm run test:clients`: clients in other languages, which are generated, compiled and run against real servers. */
export default defineConfig({
  test: {
    include: ["test/clients/**/*.test.ts"],
    globalSetup: "test/support/run-folder.ts",
    maxWorkers: 2,
    // The first run of a machine fetches compilers' packages, which later runs have in their caches.
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
