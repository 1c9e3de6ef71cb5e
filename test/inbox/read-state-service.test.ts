import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MemoryBus } from "../../src/adapters/memory/bus.ts";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import { ReadStateService } from "../../src/inbox/read-state-service.ts";
import type { Notice, ReadNotice } from "../../src/ports/bus.ts";
import { RoomAccess } from "../../src/rooms/access.ts";
import { roomFeed } from "../../src/rooms/grants.ts";
import { FakeClock } from "../support/clock.ts";
import { reasonFrom } from "../support/core.ts";
import { FakeHook, member } from "../support/rooms.ts";
import { message, upTo } from "../support/store-messages.ts";
import { type StoreMethod, tapStore } from "../support/store-tap.ts";

const dayMs = 86_400_000;
let sqlite: SqliteStore;
let clock: FakeClock;
let hook: FakeHook;
let states: ReadStateService;
let notices: Notice[];
const calls = new Map<StoreMethod, number>();
/** What a save answers instead of the store. */
let refuseSaves = 0;
beforeEach(async () => {
  sqlite = new SqliteStore({ folder: ":memory:", keep: 1000 });
  await sqlite.open();
  clock = new FakeClock();
  hook = new FakeHook();
  notices = [];
  refuseSaves = 0;
  calls.clear();
  const store = tapStore(sqlite, async (method, call) => {
    calls.set(method, (calls.get(method) ?? 0) + 1);
    if (method === "saveReadState" && refuseSaves-- > 0) return false as Awaited<ReturnType<typeof call>>;
    return call();
  });
  const bus = new MemoryBus();
  bus.subscribe((heard) => heard.type !== "lost" && notices.push(heard));
  states = new ReadStateService(store, bus, new RoomAccess(hook, clock), clock, 7);
});
afterEach(() => sqlite.close());

/** May enter every room, so that nobody has to be asked; the token names none. */
const ann = member("ann", ["**"]);
const enroll = (...rooms: string[]) => states.enroll("acme", "ann", rooms);
const roomsOf = async (user = ann) => (await states.read(user)).state.rooms;
/** Publishes to a room so long ago. */
const publish = (room: string, ageMs = 0) =>
  sqlite.append([message("acme", { feeds: [`room/${room}`], publishTime: clock.now() - ageMs })]);
const unread = async (room: string) => (await states.read(ann)).state.unreadRanges(`room/${room}`);

describe("an inbox", () => {
  test("holds the rooms that were joined, in their order, and those that the token names", async () => {
    expect(await enroll("b", "a")).toEqual([]);
    expect(await enroll("c", "a")).toEqual([]);
    expect(await roomsOf()).toEqual(["b", "a", "c"]);
    const named = await states.load(member("ann", ["named", "own-{sub}", "pattern-*", "a", "**"]));
    expect(named.state.rooms).toEqual(["b", "a", "c", "named", "own-ann"]);
    expect(await roomsOf(member("bob", ["**"]))).toEqual([]);
    expect(await roomsOf(member("ann", ["**"], { tenant: "globex" }))).toEqual([]);
  });

  test("has the feeds of the rooms that the user may still enter; the hook's clear no closes one", async () => {
    await enroll("mine", "asked", "shut", "dm/ann/bob");
    hook.answer("shut", false);
    const reading = states.read(member("ann", ["mine"]));
    await expect.poll(() => hook.asked.length).toBe(1);
    hook.breakDown();
    const { feeds } = await reading;
    expect(feeds.map(({ name }) => name)).toEqual([
      "user",
      "tenant",
      "everyone",
      "room/mine",
      "room/asked",
      "room/dm/ann/bob",
    ]);
  });

  test("counts as read what is older than a week at the first contact with a room, for good", async () => {
    await publish("a", 8 * dayMs);
    await publish("a", 7 * dayMs);
    await publish("a", 6 * dayMs);
    await enroll("a");
    expect(await unread("a")).toEqual([[2, Number.MAX_SAFE_INTEGER]]);
    clock.set(clock.now() + 30 * dayMs);
    await enroll("a");
    expect(await unread("a")).toEqual([[2, Number.MAX_SAFE_INTEGER]]);
  });

  test("is told of once for what is new in it, and not at all for what is not", async () => {
    const saves = () => calls.get("saveReadState") ?? 0;
    await enroll("a", "b");
    expect(notices).toMatchObject([{ type: "read", tenant: "acme", user: "ann", readIds: [], all: false }]);
    const before = saves();
    await enroll("b", "a");
    await states.load(member("ann", ["a", "b", "**"]));
    expect([notices.length, saves() - before]).toEqual([1, 0]);
  });
});

describe("a full inbox", () => {
  const all = upTo(256).map((number) => `r${number}`);

  test("takes 256 rooms at once, by one write", async () => {
    await states.read(ann);
    const before = calls.get("saveReadState") ?? 0;
    expect(await enroll(...all)).toEqual([]);
    expect(await roomsOf()).toEqual(all);
    expect((calls.get("saveReadState") ?? 0) - before).toBe(1);
  });

  test("makes place by the room that is there longest without anything unread, never by one that was asked for", async () => {
    await enroll(...all);
    for (const room of ["r1", "r3", "r4"]) await publish(room);
    expect(await enroll("r2", "new-1", "new-2")).toEqual([]);
    expect(await roomsOf()).toEqual([...all.filter((room) => !["r5", "r6"].includes(room)), "new-1", "new-2"]);
  });

  test("refuses what there is no place for, names it, and keeps what it has", async () => {
    await enroll(...all);
    for (const room of all.slice(1)) await publish(room);
    const tallies = calls.get("countNotifications") ?? 0;
    expect(await enroll("new-1", "r9", "new-2", "new-3")).toEqual(["new-2", "new-3"]);
    // One question, however many rooms.
    expect((calls.get("countNotifications") ?? 0) - tallies).toBe(1);
    expect(await roomsOf()).toEqual([...all.slice(1), "new-1"]);
    const before = notices.length;
    await publish("new-1");
    expect(await enroll("new-2")).toEqual(["new-2"]);
    expect(notices).toHaveLength(before);
    const { feeds } = await states.load(member("ann", ["named", "**"]));
    expect(feeds.map(({ name }) => name)).not.toContain("room/named");
  });
});

describe("a change", () => {
  const touch = (seq: number) =>
    states.change("acme", "ann", async (state) => {
      state.read("user").add(seq);
      return { changed: 1, notice: { readIds: [`${seq}`] } };
    });

  test("of 60 at once is none that conflicts, and each is made for what those before left", async () => {
    await Promise.all(upTo(60).map((number) => touch(number * 2)));
    const { state } = await states.read(ann);
    expect(state.readRanges("user")).toHaveLength(60);
    expect(notices.filter(({ type }) => type === "read")).toHaveLength(60);
  });

  test("is tried again when another node was faster, and gives up in the end", async () => {
    await states.read(ann);
    refuseSaves = 19;
    expect(await touch(1)).toBe(1);
    refuseSaves = 20;
    expect(await reasonFrom(touch(2))).toBe("CONFLICT");
    refuseSaves = 0;
    // The failure of one is not the failure of those behind it.
    expect(await Promise.all([touch(3), touch(4)])).toEqual([1, 1]);
    expect((await states.read(ann)).state.readRanges("user")).toEqual([
      [1, 1],
      [3, 4],
    ]);
  });

  test("that fails holds up nobody", async () => {
    const failing = states.change("acme", "ann", () => Promise.reject(new Error("broken")));
    const next = touch(1);
    await expect(failing).rejects.toThrow("broken");
    expect(await next).toBe(1);
  });

  test("of more than 1,000 messages names none", async () => {
    const change = (count: number) =>
      states.change("acme", "ann", async () => ({ changed: 1, notice: { readIds: upTo(count).map(String) } }));
    await change(1000);
    await change(1001);
    expect(notices.map((notice) => (notice as ReadNotice).readIds.length)).toEqual([1000, 0]);
  });
});

describe("what users say themselves", () => {
  const say = (room: string, seq: number, user = member("ann")) => states.markOwn(user, room, seq, `id-${seq}`);

  test("is read in a room of the inbox, and in one that the token names", async () => {
    await enroll("a");
    await say("a", 2);
    await say("named", 1, member("ann", ["named", "**"]));
    const { state } = await states.read(member("ann", ["named", "**"]));
    expect(["a", "named"].map((room) => state.readRanges(roomFeed("acme", room).name))).toEqual([[[2, 2]], [[1, 1]]]);
    expect(notices.map((notice) => (notice as ReadNotice).readIds)).toEqual([[], ["id-2"], ["id-1"]]);
  });

  test("brings no room into the inbox that is not the user's", async () => {
    await say("elsewhere", 1);
    expect(await roomsOf()).toEqual([]);
    expect(notices).toEqual([]);
  });
});
