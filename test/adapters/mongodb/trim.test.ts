import type { CommandStartedEvent } from "mongodb";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { Connection } from "../../../src/adapters/mongodb/connection.ts";
import { messages, readAll, userFeed } from "../../support/store-messages.ts";
import { benches, type MongoBench, openMongo } from "../../support/store-mongo.ts";

const hour = 3_600_000;

describe.each(benches)("Retention by count on $name", { timeout: 60_000 }, ({ open }) => {
  let bench: MongoBench;
  beforeAll(async () => {
    bench = await open();
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
  afterAll(() => bench.close());

  test("deletes in the background, in slices, what is an hour old, and counts it", async () => {
    let aheadMs = 0;
    vi.spyOn(Connection.prototype, "clock", "get").mockImplementation(() => Date.now() + aheadMs);
    const deletes: CommandStartedEvent[] = [];
    const { store, close } = await openMongo(bench, 10, bench.url(), {
      watch: (event) => void (String(event.command.delete).startsWith("entries") && deletes.push(event)),
    });
    try {
      for (let count = 0; count < 767; count += 59) await store.append(messages("t", 59));
      expect(store.figures?.()).toMatchObject({ trimmed: 0 });
      expect(deletes).toEqual([]);
      aheadMs = 2 * hour;
      await store.append(messages("t", 1));
      // Number 768 raised the tail to 759.
      await expect.poll(() => store.figures?.().trimmed, { timeout: 30_000 }).toBe(758);
      expect(deletes.length).toBeGreaterThanOrEqual(3);
      expect(store.figures?.().trimSeconds).toBeGreaterThan(0);
      expect((await readAll(store, userFeed("t"))).map(({ seq }) => seq)).toEqual(
        Array.from({ length: 10 }, (_, index) => 759 + index),
      );
    } finally {
      await close();
    }
  });

  test("ends with the store, and leaves the rest to the next deletion", async () => {
    const { store, close } = await openMongo(bench, 10);
    await store.append(messages("t", 256));
    await close();
    expect(store.figures?.().trimmed).toBe(0);
  });
});
