import { rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { appendOne, message, messages, readAll, upTo, userFeed } from "../../support/store-messages.ts";
import { makeFolder } from "../../support/store-sqlite.ts";

let folder: string;
let store: SqliteStore;

beforeEach(() => {
  folder = makeFolder();
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

async function open(keep: number): Promise<void> {
  store = new SqliteStore({ folder, keep });
  await store.open();
}

async function fill(count: number, feeds: readonly string[]): Promise<void> {
  for (let written = 0; written < count; written += 1000) {
    await store.append(messages("t", Math.min(1000, count - written), () => ({ feeds, body: new Uint8Array(10) })));
  }
}

const isTrimmed = () => expect.poll(() => store.figures().untrimmed, { timeout: 15_000 }).toBe(0);

/** Closes the store, and counts its rows. */
async function rows(): Promise<Record<string, number>> {
  await store.close();
  const database = new DatabaseSync(join(folder, "tidings.db"), { readOnly: true });
  const count = (table: string) => Number(database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n);
  const counts = { entries: count("entries"), messages: count("messages"), places: count("places") };
  database.close();
  return counts;
}

describe("Retention by count", () => {
  test("answers the first append under a smaller limit before it deletes, and other calls meanwhile", async () => {
    await open(1_000_000);
    await fill(50_000, ["user/ann"]);
    await store.close();
    await open(100);
    expect(await appendOne(store, message("t"))).toBe(50_001);
    expect(store.figures().trimmed).toBe(0);
    // Without calls: a slice may take as long as those since the last one.
    await expect.poll(() => store.figures().trimmed, { interval: 1, timeout: 10_000 }).toBeGreaterThan(0);
    expect(await appendOne(store, message("t"))).toBe(50_002);
    expect((await readAll(store, userFeed("t"))).map(({ seq }) => seq)).toEqual(upTo(50_002, 50_002 - 99));
    // The calls were answered between two slices.
    expect(store.figures().trimmed).toBeLessThan(49_000);
    await isTrimmed();
    expect(store.figures().trimSeconds).toBeGreaterThan(0);
    const { entries, messages: left } = await rows();
    expect(left).toBe(entries);
    // Up to 255 wait for the next step.
    expect(entries).toBeLessThan(100 + 256);
  });

  test("deletes a message of many feeds once it is below the tails of all", async () => {
    await open(10);
    await fill(1000, ["user/ann", "user/bob", "tenant"]);
    await isTrimmed();
    const { entries, messages: left, places } = await rows();
    expect(entries).toBe(places);
    expect(entries).toBe(3 * (left as number));
    expect(left).toBeLessThan(10 + 256);
  });

  test("goes on after a restart with what the last process did not delete", async () => {
    await open(1_000_000);
    await fill(20_000, ["user/ann"]);
    await store.append(messages("t", 300, (index) => ({ feeds: [`user/${index}`] })));
    await store.close();
    await open(100);
    await appendOne(store, message("t"));
    // At once, without waiting for the slices.
    await store.close();
    await open(1_000_000);
    // A larger limit does not bring back what a smaller one has hidden.
    expect((await readAll(store, userFeed("t"))).map(({ seq }) => seq)).toEqual(upTo(20_001, 19_902));
    await expect.poll(() => store.figures().trimmed ?? 0, { timeout: 15_000 }).toBeGreaterThan(19_000);
    await isTrimmed();
    expect(await rows()).toEqual({ entries: 400, messages: 400, places: 0 });
  });

  test("keeps the keys of what it deletes for as long as they hold", async () => {
    await open(10);
    await store.append(messages("t", 500, (index) => ({ key: `k${index}`, digest: "d" })));
    await isTrimmed();
    const [again] = await store.append([message("t", { key: "k0", digest: "d" })]);
    expect(again?.outcome).toBe("duplicate");
  });
});
