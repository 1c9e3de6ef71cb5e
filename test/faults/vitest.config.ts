import { join } from "node:path";
import { defineConfig } from "vitest/config";

// A node starts again and again: those that end by themselves leave their compiled code to the next ones.
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
