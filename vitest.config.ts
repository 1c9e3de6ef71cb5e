import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";

// Each store starts a thread and each command a process: they share their compiled code.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/node");

/** Files that need other servers (Redis, one of MongoDB's protocol, nginx, Caddy): `npm run test:servers`. */
export const withServers = [
  "test/adapters/{mongodb,redis}/*.test.ts",
  "test/deploy/{nginx,caddy}.test.ts",
  "test/e2e/nodes.test.ts",
];

/**
 * Files that each get a process of their own: they look at what their process holds, drive a browser, compare a model with
 * many stores, or share the packed packages. All others share a few processes, and undo everything they do: a process for
 * each file would cost 0.3 s.
 */
const alone = [
  "test/package.test.ts",
  "test/docs/code.test.ts",
  "test/adapters/sqlite/{kill,thread}.test.ts",
  "test/e2e/browser/*.test.ts",
  "test/e2e/{kill,metrics,tracing}.test.ts",
  "test/properties/*.property.test.ts",
  "test/simulation/*.test.ts",
  "test/wire/frame-cost.test.ts",
];
const elsewhere = ["test/{attack,clients,faults}/**", ...withServers];

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // More than the cores of a small machine: many tests wait for browsers, servers and clocks.
    maxWorkers: 4,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: { name: "alone", globalSetup: "test/support/run-folder.ts", include: alone, exclude: elsewhere },
      },
      {
        extends: true,
        test: { name: "shared", include: ["test/**/*.test.ts"], exclude: [...alone, ...elsewhere], isolate: false },
      },
    ],
  },
});
