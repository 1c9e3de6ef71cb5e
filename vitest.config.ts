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
 * Files that each get a process of their own: they look at what a process holds, or start and kill browsers, programs and
 * servers. All others share a few processes, and undo everything they do.
 */
const alone = [
  "test/{package,tools}.test.ts",
  "test/docs/{code,readme}.test.ts",
  "test/{adapters,cli,conformance,examples,properties,simulation}/**/*.test.ts",
  "test/e2e/browser/*.test.ts",
  "test/e2e/interop/{buf-curl,grpcurl}.test.ts",
  "test/e2e/{kill,metrics,tracing}.test.ts",
  "test/wire/frame-cost.test.ts",
];
const elsewhere = ["test/{attack,clients,faults}/**", ...withServers];

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // More than the cores of a small machine: many tests wait for browsers, servers and clocks.
    maxWorkers: 3,
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
