/**
 * The reading half of the conformance suite of the Durable Streams protocol. What it writes goes through
 * durable-streams-writer.ts, so the tests of writing would test only that, and are left out.
 */
import { runConformanceTests } from "@durable-streams/server-conformance-tests";
import { afterAll, beforeAll, beforeEach, describe, expect, type RunnerTask, test } from "vitest";
import { newTenant, startServer, type TestServer } from "../support/server.ts";
import { DurableStreamsWriter } from "./durable-streams-writer.ts";

/** Why tests are left out, and their names, with those of their groups before them. */
const leftOut: readonly (readonly [why: string, tests: RegExp])[] = [
  [
    "creating and deleting streams",
    /^(Basic Stream Operations|Case-Insensitivity)|on (PUT|DELETE)|with PUT|Location|DELETE/,
  ],
  ["creating streams", /accept PUT|PUT (responses|with)|Content-Type Validation/],
  [
    "writing",
    /^Append Operations|(on|with) POST|POST (responses|body|with)|content-type mismatch|missing Content-Type/,
  ],
  ["writing", /invalid JSON with 400|empty JSON arrays with 400/],
  ["sequences of writers", /\bseq\b|seq values|sequence (ordering|numbers)|lexicographic seq/],
  ["idempotent producers", /^Idempotent Producer/],
  ["closing streams", /^Stream Closure/],
  ["forks", /^Fork - /],
  ["lifetimes of streams; feeds have none", /^(TTL|HEAD Metadata Edge Cases)/],
  ["streams that do not exist; every feed does", /404|security headers on error responses/],
  ["bytes; feeds are JSON", /binary|base64/],
];

const whole = process.env.TIDINGS_TEST_CONFORMANCE === "whole";
if (!whole) {
  const words = "the suite of Durable Streams runs in npm run test:conformance only";
  console.log(`skipped: ${words}`);
  test.skip(words, () => {});
}

describe.runIf(whole)("The reading half of the Durable Streams protocol", () => {
  const config = { baseUrl: "", longPollTimeoutMs: 500 };
  const counts = { read: 0, leftOut: new Map<RegExp, number>() };
  let server: TestServer;
  let writer: DurableStreamsWriter;

  beforeAll(async () => {
    // The suite polls until nothing comes, writes messages of 1 MB, and asks from a page of another origin.
    server = await startServer({ heartbeatMs: 500, maxMessageBytes: 2_000_000, allowedOrigins: ["*"] });
    writer = await DurableStreamsWriter.start(server, await server.token({ tenant: newTenant(), role: "service" }));
    config.baseUrl = writer.url;
  });

  afterAll(async () => {
    await writer.stop();
    await server.stop();
    const all = [...counts.leftOut.values()].reduce((sum, count) => sum + count, 0);
    console.log(`Durable Streams: ${counts.read} tests of reading; ${all} of the rest left out`);
    expect(counts.read).toBeGreaterThan(90);
    for (const [, tests] of leftOut) expect(counts.leftOut.get(tests), String(tests)).toBeGreaterThan(0);
  });

  beforeEach(({ task, skip }) => {
    const name = nameOf(task);
    const [why, tests] = leftOut.find(([, pattern]) => pattern.test(name)) ?? [];
    if (tests) {
      counts.leftOut.set(tests, (counts.leftOut.get(tests) ?? 0) + 1);
      skip(`left out: ${why}`);
    }
    counts.read++;
  });

  runConformanceTests(config);
});

/** The name of a test of the suite, after those of its groups. */
function nameOf({ name, suite }: Pick<RunnerTask, "name" | "suite">): string {
  return suite?.suite ? `${nameOf(suite)} > ${name}` : name;
}
