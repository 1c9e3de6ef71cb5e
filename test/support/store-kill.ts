import { rmSync } from "node:fs";
import { expect } from "vitest";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import { readAll, upTo } from "./store-messages.ts";
import { StoreProcess } from "./store-process.ts";
import { makeFolder } from "./store-sqlite.ts";

/** What a store had answered before it was killed: the id at each location, such as `user/ann=7`. */
type Acked = Map<string, string>;

/**
 * Kills a store at full load, again and again on the same data. After each kill it must open, which checks the file,
 * and have everything that was ever answered, once and at its location, without a gap in any feed.
 */
export async function killRounds(rounds: number): Promise<void> {
  const folder = makeFolder();
  const acked: Acked = new Map();
  try {
    for (let round = 1; round <= rounds; round++) {
      const child = new StoreProcess("load", folder);
      try {
        await child.waitForLines(20 + Math.floor(Math.random() * 1500));
      } finally {
        await child.kill();
      }
      const [first, ...answers] = child.lines;
      expect(first, `round ${round}`).toBe("open");
      expect(answers.length).toBeGreaterThan(0);
      for (const answer of answers) record(acked, answer);
      await check(folder, acked, round);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function record(acked: Acked, answer: string): void {
  const [word, id = "", ...locations] = answer.split(" ");
  expect(word).toBe("ack");
  for (const location of locations) {
    expect(acked.has(location), `${location} was given twice`).toBe(false);
    acked.set(location, id);
  }
}

async function check(folder: string, acked: Acked, round: number): Promise<void> {
  const store = new SqliteStore({ folder, keep: 1_000_000 });
  await store.open();
  try {
    const found: Acked = new Map();
    for (const name of ["user/ann", "tenant"]) {
      const entries = await readAll(store, { tenant: "t", name }, 0, 1000);
      expect(
        entries.map(({ seq }) => seq),
        `round ${round}: ${name}`,
      ).toEqual(upTo(entries.length));
      expect(new Set(entries.map(({ id }) => id)).size).toBe(entries.length);
      for (const { id, seq } of entries) found.set(`${name}=${seq}`, id);
    }
    const lost = [...acked].filter(([location, id]) => found.get(location) !== id);
    expect(lost, `round ${round}: answered and lost`).toEqual([]);
  } finally {
    await store.close();
  }
}
