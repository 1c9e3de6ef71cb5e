import { join } from "node:path";
import { defineConfig } from "vitest/config";

// Nodes are started many times: a process that exits by itself leaves its compiled code for the next ones.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "../../node_modules/.cache/node");

/** `npm run test:faults`: real processes that are killed, drained, paused and cut off. */
export default defineConfig({
  test: {
    include: ["test/faults/**/*.test.ts"],
    // One file at a time: servers of several files would share the CPU, and latencies would mean nothing.
    fileParallelism: false,
    testTimeout: 3_600_000,
    hookTimeout: 60_000,
  },
});
