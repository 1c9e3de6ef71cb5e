import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";

// Each store has a thread, and each command a process, of its own: what one has compiled is there for the next.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/node");

/** What needs other servers (Redis, one of MongoDB's protocol, nginx, Caddy): `npm run test:servers`. */
export const withServers = [
  "test/adapters/{mongodb,redis}/*.test.ts",
  "test/deploy/{nginx,caddy}.test.ts",
  "test/e2e/nodes.test.ts",
];

/**
 * Each of these has a process of its own: they look at what a process holds, or start browsers, programs and servers and
 * kill them. The others take turns in a few processes, and leave nothing behind.
 */
const alone = [
  "test/{package,tools}.test.ts",
  "test/docs/{code,readme}.test.ts",
  "test/{adapters,cli,conformance,examples,properties,simulation}/**/*.test.ts",
  "test/e2e/browser/*.test.ts",
  "test/e2e/interop/{buf-curl,grpcurl}.test.ts",
  "test/e2e/{kill,metrics,tracing}.test.ts",
];
const elsewhere = ["test/faults/**", ...withServers];

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // Many of them wait for browsers, servers and clocks.
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
