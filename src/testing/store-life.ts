import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { reasonOf } from "../errors.ts";
import type { Store, StoreHealth } from "../ports/store.ts";
import { appendOne, message, messages, readAll, selection, start, stored, upTo, userFeed } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** A harmless call of every method that all stores have. */
const calls: {
  [Method in Exclude<keyof Store, "open" | "close" | "watch" | "figures" | "now" | "usage">]: (
    store: Store,
  ) => Promise<unknown>;
} = {
  append: (store) => store.append([message("t")]),
  bounds: (store) => store.bounds([userFeed("t")]),
  read: (store) => store.read(userFeed("t"), 0, 1, 1, start),
  recall: (store) => store.recall("t", [message("t").id]),
  trim: (store) => store.trim(0, 0),
  select: (store) => store.select(selection(userFeed("t"))),
  countNotifications: (store) => store.countNotifications([], start),
  batch: (store) => store.batch("t", "b", "", 1, start),
  find: (store) => store.find([userFeed("t")], [message("t").id]),
  readState: (store) => store.readState("t", "ann"),
  saveReadState: (store) => store.saveReadState("t", "ann", { version: 1, json: "" }),
};

/** What is kept when a store is closed, and what a closed store does. */
export function lifeLaw(bench: StoreBench): void {
  test("tells a time that goes on as fast as this machine's, if it has a clock of its own", async ({ skip }) => {
    await bench.alone(100, async ({ store }) => {
      if (!store.now) return skip("this store has no clock of its own");
      const began = performance.now();
      const first = await store.now();
      await store.append(messages("t", 20));
      const second = await store.now();
      expect(second).toBeGreaterThanOrEqual(first);
      expect(second - first).toBeLessThanOrEqual(performance.now() - began + 1);
      await store.close();
      const refused = await store.now().catch((error: unknown) => error);
      expect(refused instanceof ConnectError && reasonOf(refused)).toBe("STORE_UNAVAILABLE");
    });
  });

  test("keeps everything when it is closed and opened again", async ({ skip }) => {
    await bench.alone(100, async (opened) => {
      if (!opened.reopen) return skip("this store cannot be opened again");
      const { store, info } = opened;
      const batch = messages("t", 120, (index) => ({ key: `k${index}`, digest: "d", feeds: ["user/ann", "tenant"] }));
      await store.append(batch);
      await store.recall("t", [batch[119]?.id ?? "", batch[60]?.id ?? ""]);
      await store.saveReadState("t", "ann", { version: 1, json: "[1]" });
      const before = await everything(store);

      const again = await opened.reopen();
      expect(await everything(again.store)).toEqual(before);
      expect(Buffer.from(again.info.secret)).toEqual(Buffer.from(info.secret));
      expect(await again.store.append([message("t", { key: "k119", digest: "d" })])).toMatchObject([
        { outcome: "duplicate", id: batch[119]?.id },
      ]);
      expect(await appendOne(again.store, message("t"))).toBe(121);
      expect(await again.store.saveReadState("t", "ann", { version: 2, json: "[]" })).toBe(true);
    });
  });

  test("continues the seqs of feeds that were emptied, after it was opened again", async ({ skip }) => {
    await bench.alone(100, async (opened) => {
      if (!opened.reopen) return skip("this store cannot be opened again");
      const [expired, recalled, old] = [
        message("t", { feeds: ["expired"], expireTime: start + 1 }),
        message("t", { feeds: ["recalled"] }),
        message("t", { feeds: ["old"], publishTime: start - 10 }),
      ];
      await opened.store.append([expired, recalled, old]);
      await opened.store.recall("t", [recalled.id]);
      while ((await opened.store.trim(start, start + 1)) > 0);
      const { store } = await opened.reopen();
      const [appended] = await store.append([message("t", { feeds: ["expired", "recalled", "old"] })]);
      expect(stored(appended).seqs).toEqual([2, 2, 2]);
    });
  });

  test("has a secret of 32 random bytes, which no other store has", async () => {
    await bench.alone(100, async ({ info }) => {
      expect(info.secret).toHaveLength(32);
      expect(new Set(info.secret).size).toBeGreaterThan(8);
      await bench.alone(100, async (other) => {
        expect(Buffer.from(other.info.secret)).not.toEqual(Buffer.from(info.secret));
      });
    });
  });

  test("answers the calls in flight when it closes, and loses none of them", async ({ skip }) => {
    await bench.alone(10_000, async (opened) => {
      if (!opened.reopen) return skip("this store cannot be opened again");
      const appends = upTo(50).map(() => appendOne(opened.store, message("t")));
      const read = opened.store.bounds([userFeed("t")]);
      const [again, seqs, bounds] = await Promise.all([opened.reopen(), Promise.all(appends), read]);
      expect(seqs).toEqual(upTo(50));
      // The calls are concurrent, so it may have seen any number of the appends.
      expect(bounds[0]?.seq).toBeLessThanOrEqual(50);
      expect((await readAll(again.store, userFeed("t"))).map(({ seq }) => seq)).toEqual(upTo(50));
    });
  });

  test("calls a watcher with its health at once, which is usable, and with values that are not negative", async ({
    skip,
  }) => {
    const { store } = bench;
    if (!store.watch) return skip("this store is usable whenever it answers");
    const seen: StoreHealth[] = [];
    store.watch((health) => seen.push(health))();
    expect(seen).toEqual([{ state: "usable", reason: "" }]);
    for (const value of Object.values(store.figures?.() ?? {})) expect(value).toBeGreaterThanOrEqual(0);
  });

  test("can be closed again", async () => {
    await bench.alone(100, async ({ store }) => {
      await Promise.all([store.close(), store.close()]);
      await store.close();
    });
  });

  test("rejects every call with STORE_UNAVAILABLE once it is closed", async () => {
    await bench.alone(100, async ({ store }) => {
      await store.close();
      for (const [method, call] of Object.entries(calls)) {
        const error = await call(store).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        expect(error, method).toBeInstanceOf(ConnectError);
        expect((error as ConnectError).code, method).toBe(Code.Unavailable);
        expect(reasonOf(error as ConnectError), method).toBe("STORE_UNAVAILABLE");
      }
    });
  });
}

async function everything(store: Store): Promise<unknown> {
  const feeds = [userFeed("t"), { tenant: "t", name: "tenant" }];
  return {
    bounds: await store.bounds(feeds),
    entries: await Promise.all(feeds.map((feed) => readAll(store, feed))),
    state: await store.readState("t", "ann"),
  };
}
