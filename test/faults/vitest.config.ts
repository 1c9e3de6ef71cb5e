import { join } from "node:path";
import { defineConfig } from "vitest/config";

// A node starts again and again: what one has compiled that ended by itself is there for the next.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "../../node_modules/.cache/node");

/** `npm run test:faults`: long runs with real processes that are killed, drained and starved. */
export default defineConfig({
  test: {
    include: ["test/faults/**/*.test.ts"],
    // One server under load at a time, so that the figures mean something.
    fileParallelism: false,
    testTimeout: 3_600_000,
    hookTimeout: 60_000,
  },
});
