import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** Every test file, whichever command runs it, in one process: test/tools.test.ts registers their tests and runs none. */
export default defineConfig({
  test: { root: join(import.meta.dirname, "../.."), include: ["test/**/*.test.ts"], isolate: false, maxWorkers: 1 },
});
