import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MemoryBus } from "../../src/adapters/memory/bus.ts";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import { BlockList } from "../../src/auth/block-list.ts";
import type { Identity } from "../../src/auth/identity.ts";
import type { Bus, DisconnectNotice } from "../../src/ports/bus.ts";
import type { Store } from "../../src/ports/store.ts";
import { FakeClock } from "../support/clock.ts";
import { reasonFrom, serviceOf } from "../support/core.ts";
import { member } from "../support/rooms.ts";
import { openSqlite } from "../support/store-sqlite.ts";
import { tapStore } from "../support/store-tap.ts";

const ann = member("ann", [], { tokenId: "t1" });
let sqlite: SqliteStore;
let clock: FakeClock;
let bus: Bus;
let blocks: BlockList;
beforeEach(async () => {
  sqlite = new SqliteStore({ folder: ":memory:", keep: 100 });
  await sqlite.open();
  clock = new FakeClock();
  bus = new MemoryBus();
  blocks = new BlockList(sqlite, bus, clock);
});
afterEach(async () => {
  blocks.close();
  await sqlite.close();
});

function notice(over: Partial<DisconnectNotice> = {}): DisconnectNotice {
  return { type: "disconnect", tenant: "acme", user: "ann", tokenId: "", reason: "", ...over };
}

/** Blocks for a minute and notifies all nodes, as AdminService does. */
async function block(over: Partial<DisconnectNotice> = {}, forMs = 60_000): Promise<void> {
  await blocks.set(notice(over), clock.now() + forMs);
  bus.publish([notice(over)]);
}

const isBlocked = async (identity: Identity, by = blocks) =>
  by.check(identity).then(
    () => false,
    async (error) => (await reasonFrom(Promise.reject(error))) === "CALLER_BLOCKED",
  );

describe("A block", () => {
  test("refuses a user with any token, and no other caller", async () => {
    expect(await isBlocked(ann)).toBe(false);
    await block({ reason: "left the company" });
    for (const tokenId of ["t1", "t2", ""]) expect(await isBlocked({ ...ann, tokenId })).toBe(true);
    await expect(blocks.check(ann)).rejects.toThrow("left the company");
    for (const other of [member("bob"), member("ann", [], { tenant: "globex" }), member("block\nann")]) {
      expect(await isBlocked(other)).toBe(false);
    }
    expect(await isBlocked({ ...serviceOf("acme"), subject: "ann" })).toBe(false);
  });

  test("of a token refuses that token only", async () => {
    await block({ tokenId: "t1" });
    expect(await isBlocked(ann)).toBe(true);
    for (const tokenId of ["t2", "", "T1", "__proto__", "constructor"])
      expect(await isBlocked({ ...ann, tokenId })).toBe(false);
    await block({ tokenId: "__proto__" });
    expect(await isBlocked({ ...ann, tokenId: "__proto__" })).toBe(true);
    expect(await isBlocked({ ...ann, tokenId: "t2" })).toBe(false);
  });

  test("ends exactly at its time, which the error names", async () => {
    await block();
    const until = new Date(clock.now() + 60_000).toISOString();
    await expect(blocks.check(ann)).rejects.toMatchObject({ details: [{ value: { metadata: { until } } }] });
    clock.set(clock.now() + 59_999);
    expect(await isBlocked(ann)).toBe(true);
    clock.set(clock.now() + 1);
    expect(await isBlocked(ann)).toBe(false);
  });

  test("is lifted, prolonged and shortened by a later block of the same user or token", async () => {
    await block();
    await block({ tokenId: "t1" });
    await block({}, -1);
    expect([await isBlocked(ann), await isBlocked({ ...ann, tokenId: "t2" })]).toEqual([true, false]);
    await block({ tokenId: "t1" }, 0);
    expect(await isBlocked(ann)).toBe(false);
    await block({}, 120_000);
    await block({}, 1000);
    clock.set(clock.now() + 1000);
    expect(await isBlocked(ann)).toBe(false);
  });

  test("survives disconnections of its user, token and other tokens", async () => {
    await block({ tokenId: "t1", reason: "stolen" });
    await blocks.set(notice({ tokenId: "t1" }));
    for (let index = 0; index < 150; index++) await blocks.set(notice({ tokenId: `cut-${index}` }));
    bus.publish([notice()]);
    await expect(blocks.check(ann)).rejects.toThrow("stolen");
    for (const tokenId of ["cut-1", "cut-149"]) expect(await isBlocked({ ...ann, tokenId })).toBe(false);
    // The document has a bound: it drops the oldest disconnections, and after ten minutes all of them.
    const size = async () => (await sqlite.readState("acme", "block\nann")).json.length;
    expect(await size()).toBeLessThan(10_000);
    clock.set(clock.now() + 600_000);
    await blocks.set(notice({ tokenId: "one" }));
    expect(await size()).toBeLessThan(100);
  });

  test("lasts ten years at most", async () => {
    await block({}, 1e15);
    clock.set(clock.now() + 9 * 365 * 86_400_000);
    expect(await isBlocked(ann)).toBe(true);
    clock.set(clock.now() + 2 * 366 * 86_400_000);
    expect(await isBlocked(ann)).toBe(false);
  });

  test("of another token is refused while 100 tokens are blocked, but one of the whole user is not", async () => {
    for (let index = 0; index < 100; index++) await block({ tokenId: `token-${index}` });
    expect(await reasonFrom(block({ tokenId: "one-more" }))).toBe("TOO_MANY_BLOCKS");
    await block({ tokenId: "token-7" }, 90_000);
    await block({ tokenId: "never-blocked" }, -1);
    await block();
    expect(await isBlocked({ ...ann, tokenId: "free" })).toBe(true);
    clock.set(clock.now() + 60_000);
    await block({ tokenId: "one-more" });
    expect(await isBlocked({ ...ann, tokenId: "one-more" })).toBe(true);
    expect(await isBlocked({ ...ann, tokenId: "token-8" })).toBe(false);
  });

  test("is saved beside all others that are made at the same time", async () => {
    await Promise.all(Array.from({ length: 10 }, (_, index) => block({ tokenId: `token-${index}` })));
    for (let index = 0; index < 10; index++) expect(await isBlocked({ ...ann, tokenId: `token-${index}` })).toBe(true);
  });

  test("outlives a restart of the store", async () => {
    const opened = await openSqlite();
    try {
      const first = new BlockList(opened.store, bus, clock);
      await first.set(notice({ tokenId: "t1" }), clock.now() + 60_000);
      first.close();
      const again = await opened.reopen?.();
      const second = new BlockList(again?.store as Store, bus, clock);
      expect(await isBlocked(ann, second)).toBe(true);
      expect(await isBlocked({ ...ann, tokenId: "t2" }, second)).toBe(false);
      second.close();
    } finally {
      await opened.close();
    }
  });

  test("does not touch the user's read state", async () => {
    await sqlite.saveReadState("acme", "ann", { version: 1, json: "{}" });
    await block();
    expect(await sqlite.readState("acme", "ann")).toEqual({ version: 1, json: "{}" });
  });
});

describe("The cache of blocks", () => {
  test("reads the store once in five seconds for each user", async () => {
    let reads = 0;
    const counted = tapStore(sqlite, (_method, call) => {
      reads++;
      return call();
    });
    const other = new BlockList(counted, new MemoryBus(), clock);
    for (let index = 0; index < 5; index++) await other.check(ann);
    expect(reads).toBe(1);
    // Another node blocks the user, and its notice is lost.
    await block();
    expect(await isBlocked(ann, other)).toBe(false);
    clock.set(clock.now() + 5000);
    expect(await isBlocked(ann, other)).toBe(true);
    other.close();
  });

  test("drops a user on a notice, even while the user is being read", async () => {
    let gate = Promise.resolve();
    const slow = tapStore(sqlite, async (method, call) => {
      const answer = await call();
      if (method === "readState") await gate;
      return answer;
    });
    const other = new BlockList(slow, bus, clock);
    const { promise, resolve } = Promise.withResolvers<void>();
    gate = promise;
    const early = other.check(ann);
    await block();
    resolve();
    // This read began before the block, so its result must not be cached.
    await early;
    expect(await isBlocked(ann, other)).toBe(true);
    other.close();
  });
});
