import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { create, toBinary } from "@bufbuild/protobuf";
import { Kind } from "../gen/tidings/v1/message_pb.ts";
import { PublishBatchRequestSchema, PublishRequestSchema } from "../gen/tidings/v1/push_service_pb.ts";
import { load, rawRequest } from "./caller.ts";
import { withServer } from "./process.ts";
import { median, percentile } from "./stats.ts";
import { benchToken } from "./tokens.ts";

const batchSize = 100;
const text = "x".repeat(200);

/** Messages a second that SQLite alone makes durable: one table, one transaction with one fsync per batch. */
function bareStore(milliseconds: number, size: number): number {
  const folder = mkdtempSync(join(tmpdir(), "tidings-bench-"));
  const db = new DatabaseSync(join(folder, "bare.db"));
  db.exec(
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536",
  );
  db.exec("CREATE TABLE log (feed INTEGER, seq INTEGER, body BLOB, PRIMARY KEY (feed, seq)) WITHOUT ROWID");
  const insert = db.prepare("INSERT INTO log VALUES (?, ?, ?)");
  const body = new Uint8Array(300);
  let count = 0;
  const start = performance.now();
  while (performance.now() - start < milliseconds) {
    db.exec("BEGIN IMMEDIATE");
    for (let i = 0; i < size; i++, count++) insert.run(count % 1000, Math.floor(count / 1000), body);
    db.exec("COMMIT");
  }
  const rate = count / ((performance.now() - start) / 1000);
  db.close();
  rmSync(folder, { recursive: true, force: true });
  return rate;
}

function publishTo(user: string) {
  const message = { kind: Kind.NOTIFICATION, category: "system", title: "A task was assigned to you", content: text };
  return create(PublishRequestSchema, { audience: { to: { case: "userId", value: user } }, message });
}

/** Durable publishing against bare SQLite, interleaved, so that both see the same disk. */
export async function ingest(rounds: number, milliseconds: number): Promise<string[][]> {
  const token = await benchToken("service", "bench");
  const unary = rawRequest("Publish", token, toBinary(PublishRequestSchema, publishTo("user-1")));
  const users = Array.from({ length: batchSize }, (_, index) => publishTo(`user-${index}`));
  const batch = rawRequest(
    "PublishBatch",
    token,
    toBinary(PublishBatchRequestSchema, create(PublishBatchRequestSchema, { requests: users })),
  );
  const bare: number[] = [];
  const bareOne: number[] = [];
  const unaryRates: number[] = [];
  const batchRates: number[] = [];
  const unaryTimes: number[] = [];
  await withServer(async ({ port }) => {
    await load(port, unary, 50, milliseconds / 2);
    await load(port, batch, 4, milliseconds / 2);
    for (let round = 0; round < rounds; round++) {
      bare.push(bareStore(milliseconds, batchSize));
      bareOne.push(bareStore(milliseconds, 1));
      const one = await load(port, unary, 50, milliseconds);
      unaryRates.push(one.rate);
      unaryTimes.push(...one.times);
      batchRates.push((await load(port, batch, 4, milliseconds)).rate * batchSize);
    }
  });
  const base = median(bare);
  const row = (what: string, rates: readonly number[], more: string) => {
    const [rate, low, high] = [median(rates), Math.min(...rates), Math.max(...rates)].map(Math.round) as [
      number,
      number,
      number,
    ];
    return [what, `${rate}/s (${low} to ${high})`, `${((rate / base) * 100).toFixed(0)} %`, more];
  };
  return [
    ["durable publish", "messages", "of bare SQLite", "latency"],
    row(`bare SQLite, ${batchSize} a commit`, bare, ""),
    row("bare SQLite, 1 a commit", bareOne, ""),
    row(
      "Publish, 50 connections",
      unaryRates,
      `p50 ${median(unaryTimes).toFixed(1)} ms, p99 ${percentile(unaryTimes, 0.99).toFixed(1)} ms`,
    ),
    row(`PublishBatch of ${batchSize}, 4 connections`, batchRates, ""),
  ];
}
