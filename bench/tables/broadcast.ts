import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import { plain } from "../figure.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../section.ts";
import { TidingsServer } from "../servers.ts";
import { benchTenant } from "../tokens.ts";

const tables = ["messages", "places", "entries", "read_states", "feeds"] as const;

/** Publishes to a tenant whose users are all known, and counts the rows that this wrote. */
export async function broadcast({ known }: Plan): Promise<Section> {
  const data = mkdtempSync(join(tmpdir(), "tidings-bench-"));
  try {
    await remember(data, known);
    const before = count(data);
    const took = await publishOnce(data);
    const after = count(data);
    const written = tables.flatMap((table) => {
      const more = (after.get(table) ?? 0) - (before.get(table) ?? 0);
      return more === 0 ? [] : [`${more} in ${table}`];
    });
    const rows = [
      ["publish to a tenant", "rows written", "took"],
      [`${before.get("read_states")?.toLocaleString("en")} known users`, written.join(", "), `${plain(took)} ms`],
    ];
    return { tables: [rows] };
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

async function publishOnce(data: string): Promise<number> {
  await using tidings = await TidingsServer.start({ data });
  const start = performance.now();
  await tidings.send(1);
  return performance.now() - start;
}

/** Users who were here before: each has a read state. */
async function remember(folder: string, users: number): Promise<void> {
  const store = new SqliteStore({ folder, keep: 10_000 });
  await store.open();
  const state = { version: 1, json: JSON.stringify({ tenant: { read: [], deleted: [] } }) };
  for (let user = 0; user < users; user += 10_000) {
    const some = Array.from({ length: Math.min(10_000, users - user) }, (_, index) => `user-${user + index}`);
    await Promise.all(some.map((name) => store.saveReadState(benchTenant, name, state)));
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
