import { describe, expect, test } from "vitest";
import { message, messages, readAll, start, stored, userFeed } from "../support/store-messages.ts";
import type { StoreBench } from "./store.ts";

/** One key gives one message for as long as the message lives. */
export function keyLaw(bench: StoreBench): void {
  describe("keys", () => {
    test("answer a repetition with the first message", async () => {
      const tenant = bench.tenant();
      const first = message(tenant, { key: "k", digest: "d" });
      await bench.store.append([first]);
      const again = message(tenant, { key: "k", digest: "d", publishTime: start + 5 });
      expect(await bench.store.append([again])).toMatchObject([
        { outcome: "duplicate", id: first.id, publishTime: start, seqs: [] },
      ]);
      expect(await readAll(bench.store, userFeed(tenant))).toHaveLength(1);
    });

    test("refuse other content, and store nothing of it", async () => {
      const tenant = bench.tenant();
      await bench.store.append([message(tenant, { key: "k", digest: "d" })]);
      const other = message(tenant, { key: "k", digest: "e", feeds: ["user/ann", "tenant"] });
      expect(await bench.store.append([other])).toEqual([{ outcome: "conflict" }]);
      expect((await bench.store.heads([userFeed(tenant), { tenant, name: "tenant" }])).map(({ seq }) => seq)).toEqual([
        1, 0,
      ]);
      expect(await bench.store.find([userFeed(tenant)], [other.id])).toEqual([]);
    });

    test("store exactly one of 100 racing callers", async () => {
      const tenant = bench.tenant();
      const racers = messages(tenant, 100, () => ({ key: "k", digest: "d" }));
      const answers = (await Promise.all(racers.map((racer) => bench.store.append([racer])))).flat();
      const winners = answers.filter(({ outcome }) => outcome === "stored").map(stored);
      expect(winners).toHaveLength(1);
      const ids = answers.map((answer) => (answer.outcome === "conflict" ? "" : answer.id));
      expect(new Set(ids)).toEqual(new Set([winners[0]?.id]));
      expect((await readAll(bench.store, userFeed(tenant))).map(({ id }) => id)).toEqual([winners[0]?.id]);
    });

    test("are checked one by one within a call", async () => {
      const tenant = bench.tenant();
      const [first, again, other, free] = [
        message(tenant, { key: "k", digest: "d" }),
        message(tenant, { key: "k", digest: "d" }),
        message(tenant, { key: "k", digest: "e" }),
        message(tenant),
      ];
      const appended = await bench.store.append([first, again, other, free]);
      expect(appended.map(({ outcome }) => outcome)).toEqual(["stored", "duplicate", "conflict", "stored"]);
      expect((await readAll(bench.store, userFeed(tenant))).map(({ id }) => id)).toEqual([first.id, free.id]);
    });

    test("are free again once the message has expired, not before", async () => {
      const tenant = bench.tenant();
      const keyed = (publishTime: number) =>
        message(tenant, { key: "k", digest: "d", publishTime, expireTime: publishTime + 100 });
      const [first, early, late, again] = [keyed(start), keyed(start + 99), keyed(start + 100), keyed(start + 101)];
      expect(await bench.store.append([first])).toMatchObject([{ outcome: "stored" }]);
      expect(await bench.store.append([early])).toMatchObject([{ outcome: "duplicate", id: first.id }]);
      expect(await bench.store.append([late])).toMatchObject([{ outcome: "stored", id: late.id }]);
      expect(await bench.store.append([again])).toMatchObject([{ outcome: "duplicate", id: late.id }]);
    });

    test("stay taken after the message was recalled", async () => {
      const tenant = bench.tenant();
      const first = message(tenant, { key: "k", digest: "d" });
      await bench.store.append([first]);
      await bench.store.recall(tenant, [first.id]);
      const again = [message(tenant, { key: "k", digest: "d" }), message(tenant, { key: "k", digest: "e" })];
      expect(await bench.store.append(again)).toMatchObject([
        { outcome: "duplicate", id: first.id },
        { outcome: "conflict" },
      ]);
      expect(await readAll(bench.store, userFeed(tenant))).toEqual([]);
    });

    test("are remembered for a message that lies in no feed", async () => {
      const tenant = bench.tenant();
      const first = message(tenant, { key: "k", digest: "d", feeds: [], expireTime: start + 100 });
      expect(await bench.store.append([first])).toMatchObject([{ outcome: "stored", id: first.id, seqs: [] }]);
      expect(await bench.store.append([{ ...message(tenant), key: "k", digest: "d" }])).toMatchObject([
        { outcome: "duplicate", id: first.id },
      ]);
    });

    test("belong to their tenant", async () => {
      const [ours, theirs] = [bench.tenant(), bench.tenant()];
      const both = [message(ours, { key: "k", digest: "d" }), message(theirs, { key: "k", digest: "e" })];
      expect((await bench.store.append(both)).map(({ outcome }) => outcome)).toEqual(["stored", "stored"]);
    });

    test("that are empty are none", async () => {
      const appended = await bench.store.append(messages(bench.tenant(), 3));
      expect(appended.map(({ outcome }) => outcome)).toEqual(["stored", "stored", "stored"]);
    });
  });
}
