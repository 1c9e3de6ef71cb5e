import { afterEach, expect, test, vi } from "vitest";
import { Connection } from "../../../src/adapters/mongodb/connection.ts";
import { reasonFrom } from "../../support/core.ts";
import { appendOne, message, readAll, upTo, userFeed } from "../../support/store-messages.ts";
import { benches, openMongo } from "../../support/store-mongo.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const memory = benches.filter(({ name }) => name === "the server in memory");

test.each(memory)(
  "A message that $name refuses fails its own call only, and delays no other by its deadline",
  async ({ open }) => {
    const bench = await open();
    const { insert } = Connection.prototype;
    vi.spyOn(Connection.prototype, "insert").mockImplementation(async function (
      this: Connection,
      name,
      documents,
      ordered,
    ) {
      const refused = documents.findIndex((document) => (document as { g?: string }).g === "refused");
      if (refused < 0) return insert.call(this, name, documents, ordered);
      const before = refused > 0 ? await insert.call(this, name, documents.slice(0, refused), ordered) : undefined;
      if (before && (!before.confirmed || before.duplicates.length > 0)) return before;
      const error = new Error("Document failed validation");
      return { confirmed: false, duplicates: [], slotsTaken: false, time: this.now, refused, error };
    });
    const { store, close } = await openMongo(bench, 1000, bench.url(), { timeoutMs: 3000 });
    try {
      await appendOne(store, message("t"));
      const began = performance.now();
      const refused = upTo(3).map(() => reasonFrom(store.append([message("t", { category: "refused" })])));
      const others = upTo(40).map(() => appendOne(store, message("t")));
      expect(new Set(await Promise.all(others)).size).toBe(40);
      expect(await appendOne(store, message("t"))).toBe(42);
      expect(performance.now() - began).toBeLessThan(2500);
      expect(await Promise.all(refused)).toEqual(upTo(3).map(() => "STORE_UNAVAILABLE"));
      expect((await readAll(store, userFeed("t"))).map(({ seq }) => seq)).toEqual(upTo(42));
    } finally {
      await close();
      await bench.close();
    }
  },
);
