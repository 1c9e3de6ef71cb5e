import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { create, toBinary } from "@bufbuild/protobuf";
import { Kind } from "../gen/tidings/v1/message_pb.ts";
import { PublishRequestSchema } from "../gen/tidings/v1/push_service_pb.ts";
import { SqliteStore } from "../src/adapters/sqlite/store.ts";
import { RawCaller, rawRequest } from "./caller.ts";
import { withServer } from "./process.ts";
import { benchToken } from "./tokens.ts";

const tables = ["messages", "places", "entries", "read_states", "feeds"] as const;

/** Publishes to a tenant whose users are all known, and counts the rows that this wrote. */
export async function broadcast(users: number): Promise<string[][]> {
  const folder = mkdtempSync(join(tmpdir(), "tidings-bench-"));
  try {
    await remember(folder, users);
    const before = count(folder);
    let took = 0;
    await withServer(async ({ port }) => {
      const caller = await RawCaller.open(port);
      const message = { kind: Kind.NOTIFICATION, title: "Office closes at six" };
      const request = create(PublishRequestSchema, { audience: { to: { case: "tenant", value: true } }, message });
      const start = performance.now();
      await caller.call(
        rawRequest("Publish", await benchToken("service", "bench"), toBinary(PublishRequestSchema, request)),
      );
      took = performance.now() - start;
      caller.close();
    }, folder);
    const after = count(folder);
    const written = tables.flatMap((table) => {
      const more = (after.get(table) ?? 0) - (before.get(table) ?? 0);
      return more === 0 ? [] : [`${more} in ${table}`];
    });
    return [
      ["publish to a tenant", "rows written", "took"],
      [`${before.get("read_states")} known users`, written.join(", "), `${took.toFixed(1)} ms`],
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Users who were here before: each has a read state. */
async function remember(folder: string, users: number): Promise<void> {
  const store = new SqliteStore({ folder, keep: 10_000 });
  await store.open();
  const state = { version: 1, json: JSON.stringify({ tenant: { read: [], deleted: [] } }) };
  for (let user = 0; user < users; user += 10_000) {
    const some = Array.from({ length: Math.min(10_000, users - user) }, (_, index) => `user-${user + index}`);
    await Promise.all(some.map((name) => store.saveReadState("acme", name, state)));
  }
  await store.close();
}

function count(folder: string): ReadonlyMap<string, number> {
  const db = new DatabaseSync(join(folder, "tidings.db"), { readOnly: true });
  const counts = tables.map((table) => {
    const row = db.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number };
    return [table, row.n] as const;
  });
  db.close();
  return new Map(counts);
}
