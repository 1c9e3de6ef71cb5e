import { join } from "node:path";
import { defineConfig } from "vitest/config";

// Many processes are started: one that exits by itself leaves its compiled code for the next ones.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "../../node_modules/.cache/node");

/** `npm run test:attack`: servers under attack by other processes, while a healthy client measures. */
export default defineConfig({
  test: {
    include: ["test/attack/**/*.test.ts"],
    // One attack at a time: servers of several files would share the CPU, and latencies would mean nothing.
    fileParallelism: false,
    // An attack of the whole form takes a minute and a half, and is repeated where times are over their limits.
    testTimeout: 900_000,
    hookTimeout: 60_000,
  },
});
