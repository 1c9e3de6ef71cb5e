import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import { formatNumber } from "../measure/figure.ts";
import type { Plan } from "../plan.ts";
import type { Section } from "../report/section.ts";
import { TidingsServer } from "../servers/servers.ts";
import { benchTenant } from "../workload/tokens.ts";

const tables = ["messages", "places", "entries", "read_states", "feeds"] as const;

/** Publishes to a tenant with many known users, and counts the rows that this writes. */
export async function broadcast({ knownUsers }: Plan): Promise<Section> {
  const data = mkdtempSync(join(tmpdir(), "tidings-bench-"));
  try {
    await createUsers(data, knownUsers);
    const before = countRows(data);
    const took = await publishOnce(data);
    const after = countRows(data);
    const written = tables.flatMap((table) => {
      const added = (after.get(table) ?? 0) - (before.get(table) ?? 0);
      return added === 0 ? [] : [`${added} in ${table}`];
    });
    const rows = [
      ["publish to a tenant", "rows written", "duration"],
      [
        `${before.get("read_states")?.toLocaleString("en")} known users`,
        written.join(", "),
        `${formatNumber(took)} ms`,
      ],
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

/** Stores a read state for each user, as if they had all been here before. */
async function createUsers(folder: string, users: number): Promise<void> {
  const store = new SqliteStore({ folder, keep: 10_000 });
  await store.open();
  const state = { version: 1, json: JSON.stringify({ tenant: { read: [], deleted: [] } }) };
  for (let user = 0; user < users; user += 10_000) {
    const names = Array.from({ length: Math.min(10_000, users - user) }, (_, index) => `user-${user + index}`);
    await Promise.all(names.map((name) => store.saveReadState(benchTenant, name, state)));
  }
  await store.close();
}

function countRows(folder: string): ReadonlyMap<string, number> {
  const db = new DatabaseSync(join(folder, "tidings.db"), { readOnly: true });
  const counts = tables.map((table) => {
    const row = db.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number };
    return [table, row.n] as const;
  });
  db.close();
  return new Map(counts);
}
