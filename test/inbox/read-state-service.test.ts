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
/** Saves to refuse, as if another node had saved first. */
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

/** A user whose token opens every room, so that the hook is not asked, and names none. */
const ann = member("ann", ["**"]);
const enroll = (...rooms: string[]) => states.enroll("acme", "ann", rooms);
const roomsOf = async (user = ann) => (await states.read(user)).state.rooms;
/** Stores a notification in a room that was published `ageMs` ago. */
const publish = (room: string, ageMs = 0) =>
  sqlite.append([message("acme", { feeds: [`room/${room}`], publishTime: clock.now() - ageMs })]);
const unread = async (room: string) => (await states.read(ann)).state.unreadRanges(`room/${room}`);

describe("An inbox", () => {
  test("holds the rooms that were joined, in that order, and those that the token names", async () => {
    expect(await enroll("b", "a")).toEqual([]);
    expect(await enroll("c", "a")).toEqual([]);
    expect(await roomsOf()).toEqual(["b", "a", "c"]);
    const named = await states.load(member("ann", ["named", "own-{sub}", "pattern-*", "a", "**"]));
    expect(named.state.rooms).toEqual(["b", "a", "c", "named", "own-ann"]);
    expect(await roomsOf(member("bob", ["**"]))).toEqual([]);
    expect(await roomsOf(member("ann", ["**"], { tenant: "globex" }))).toEqual([]);
  });

  test("has the feeds of its rooms, except those that the hook refuses", async () => {
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

  test("counts messages older than a week as read when a room is added, for good", async () => {
    await publish("a", 8 * dayMs);
    await publish("a", 7 * dayMs);
    await publish("a", 6 * dayMs);
    await enroll("a");
    expect(await unread("a")).toEqual([[2, Number.MAX_SAFE_INTEGER]]);
    clock.set(clock.now() + 30 * dayMs);
    await enroll("a");
    expect(await unread("a")).toEqual([[2, Number.MAX_SAFE_INTEGER]]);
  });

  test("announces added rooms once, and rooms that it already has not at all", async () => {
    const saves = () => calls.get("saveReadState") ?? 0;
    await enroll("a", "b");
    expect(notices).toMatchObject([{ type: "read", tenant: "acme", user: "ann", readIds: [], all: false }]);
    const before = saves();
    await enroll("b", "a");
    await states.load(member("ann", ["a", "b", "**"]));
    expect([notices.length, saves() - before]).toEqual([1, 0]);
  });
});

describe("A full inbox", () => {
  const all = upTo(256).map((number) => `r${number}`);

  test("is filled with 256 rooms by one write", async () => {
    await states.read(ann);
    const before = calls.get("saveReadState") ?? 0;
    expect(await enroll(...all)).toEqual([]);
    expect(await roomsOf()).toEqual(all);
    expect((calls.get("saveReadState") ?? 0) - before).toBe(1);
  });

  test("drops its oldest rooms without unread messages, never a requested one", async () => {
    await enroll(...all);
    for (const room of ["r1", "r3", "r4"]) await publish(room);
    expect(await enroll("r2", "new-1", "new-2")).toEqual([]);
    expect(await roomsOf()).toEqual([...all.filter((room) => !["r5", "r6"].includes(room)), "new-1", "new-2"]);
  });

  test("refuses and names the rooms beyond its capacity, and keeps the others", async () => {
    await enroll(...all);
    for (const room of all.slice(1)) await publish(room);
    const counts = calls.get("countNotifications") ?? 0;
    expect(await enroll("new-1", "r9", "new-2", "new-3")).toEqual(["new-2", "new-3"]);
    // One call counts all rooms.
    expect((calls.get("countNotifications") ?? 0) - counts).toBe(1);
    expect(await roomsOf()).toEqual([...all.slice(1), "new-1"]);
    const before = notices.length;
    await publish("new-1");
    expect(await enroll("new-2")).toEqual(["new-2"]);
    expect(notices).toHaveLength(before);
    const { feeds } = await states.load(member("ann", ["named", "**"]));
    expect(feeds.map(({ name }) => name)).not.toContain("room/named");
  });
});

describe("A full inbox that strangers write to", () => {
  const strangers = upTo(300).map((number) => `dm/ann/s${number}`);
  /** A stranger opens a direct room and publishes to it. */
  const write = async (room: string, by: "stranger" | "service" = "stranger") => {
    const refused = await states.enroll("acme", "ann", [room], by);
    if (refused.length === 0) await publish(room);
    return refused;
  };

  test("keeps the rooms that its user entered, and takes each new stranger in place of the one before", async () => {
    const own = ["team", "dm/ann/bob", "dm/ann/eve"];
    const counted: number[] = [];
    const count = sqlite.countNotifications.bind(sqlite);
    sqlite.countNotifications = (feeds, now) => {
      counted.push(feeds.length);
      return count(feeds, now);
    };
    await enroll("team", "dm/ann/bob");
    await write("dm/ann/eve");
    await enroll("dm/ann/eve");
    for (const room of strangers) expect(await write(room)).toEqual([]);
    const rooms = await roomsOf();
    expect(rooms).toHaveLength(256);
    expect(rooms).toEqual([...own, ...strangers.slice(-253)]);
    expect(counted.at(-1), "own rooms are not counted").toBe(253);
    expect(await unread("dm/ann/s300")).not.toEqual([]);
    expect(await write("dm/ann/new", "service")).toEqual([]);
    expect((await roomsOf()).slice(0, 3)).toEqual(own);
  });

  test("drops unanswered rooms without unread messages first", async () => {
    for (const room of strangers.slice(0, 256)) await write(room);
    await states.change("acme", "ann", async (state) => {
      state.read("room/dm/ann/s100").add(1, 1);
      return { changed: 1, notice: {} };
    });
    await write("dm/ann/s300");
    expect(await roomsOf()).toEqual([
      ...strangers.slice(0, 256).filter((room) => room !== "dm/ann/s100"),
      "dm/ann/s300",
    ]);
  });

  test("leaves them few slots while it has rooms of its own without unread messages", async () => {
    const own = upTo(256).map((number) => `r${number}`);
    await enroll(...own);
    for (const room of strangers.slice(0, 100)) expect(await write(room)).toEqual([]);
    expect(await roomsOf()).toEqual([...own.slice(32), ...strangers.slice(68, 100)]);
  });

  test("refuses strangers and never a service when all of its own rooms have unread messages", async () => {
    const own = upTo(256).map((number) => `r${number}`);
    await enroll(...own);
    for (const room of own) await publish(room);
    expect(await write("dm/ann/eve")).toEqual(["dm/ann/eve"]);
    expect(await enroll("mine")).toEqual(["mine"]);
    const services = upTo(260).map((number) => `dm/ann/service${number}`);
    for (const room of services) expect(await write(room, "service")).toEqual([]);
    const rooms = await roomsOf();
    expect(rooms).toHaveLength(512);
    expect(rooms).toEqual([...own.slice(4), ...services]);
    expect(await write("dm/ann/eve")).toEqual(["dm/ann/eve"]);
  });

  test("remembers which rooms are unanswered when it is stored", async () => {
    await write("dm/ann/eve");
    await write("dm/ann/bob");
    await enroll("dm/ann/bob");
    const { state } = await states.read(ann);
    expect(["eve", "bob", "nobody"].map((user) => state.isUnanswered(`room/dm/ann/${user}`))).toEqual([
      true,
      false,
      false,
    ]);
    const saves = calls.get("saveReadState");
    await enroll("dm/ann/bob");
    await write("dm/ann/bob");
    expect(calls.get("saveReadState"), "nothing changes").toBe(saves);
    expect((await states.read(ann)).state.isUnanswered("room/dm/ann/bob")).toBe(false);
  });
});

describe("A change of a read state", () => {
  const touch = (seq: number) =>
    states.change("acme", "ann", async (state) => {
      state.read("user").add(seq);
      return { changed: 1, notice: { readIds: [`${seq}`] } };
    });

  test("waits for those before it, so that 60 at once do not conflict", async () => {
    await Promise.all(upTo(60).map((number) => touch(number * 2)));
    const { state } = await states.read(ann);
    expect(state.readRanges("user")).toHaveLength(60);
    expect(notices.filter(({ type }) => type === "read")).toHaveLength(60);
  });

  test("is tried again when another node saves first, 20 times at most", async () => {
    await states.read(ann);
    refuseSaves = 19;
    expect(await touch(1)).toBe(1);
    refuseSaves = 20;
    expect(await reasonFrom(touch(2))).toBe("CONFLICT");
    refuseSaves = 0;
    // A conflict of one change does not fail those queued behind it.
    expect(await Promise.all([touch(3), touch(4)])).toEqual([1, 1]);
    expect((await states.read(ann)).state.readRanges("user")).toEqual([
      [1, 1],
      [3, 4],
    ]);
  });

  test("does not hold up the next one when it fails", async () => {
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

describe("A user's own notification", () => {
  const say = (room: string, seq: number, user = member("ann")) => states.markOwn(user, room, seq, `id-${seq}`);

  test("is read in a room of the inbox, and in one that the token names", async () => {
    await enroll("a");
    await say("a", 2);
    await say("named", 1, member("ann", ["named", "**"]));
    const { state } = await states.read(member("ann", ["named", "**"]));
    expect(["a", "named"].map((room) => state.readRanges(roomFeed("acme", room).name))).toEqual([[[2, 2]], [[1, 1]]]);
    expect(notices.map((notice) => (notice as ReadNotice).readIds)).toEqual([[], ["id-2"], ["id-1"]]);
  });

  test("adds no room to the inbox that the token does not name", async () => {
    await say("elsewhere", 1);
    expect(await roomsOf()).toEqual([]);
    expect(notices).toEqual([]);
  });
});
