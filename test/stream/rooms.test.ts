import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { RoomMode, SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { Subscription } from "../../src/stream/subscription.ts";
import { ticks } from "../support/clock.ts";
import { reasonFrom, serviceOf, startTestCore, type TestCore, toRoom, withTestCore } from "../support/core.ts";
import { FakeHook, joins, member, roomEvents, SlowPresence, story, untilRooms } from "../support/rooms.ts";

const { ANY, FIRST, LAST } = RoomMode;
const event = { kind: Kind.EVENT } as const;
const takeover = ["a", "b"];
const ann = member("ann", ["a", "b"], { takeover });
const bob = member("bob", ["a", "b"], { takeover });
let node: TestCore;
beforeEach(async () => {
  node = await startTestCore();
});
afterEach(() => node.close());

/** How many users and connections are in a room. */
const count = (room: string, of = node) => of.core.context.presence.count("acme", room);

describe("A request for rooms", () => {
  test.each([
    ["an id that promises a direct room and names none", [{ roomId: "dm/ann" }], "rooms[0].room_id"],
    ["a room named twice", [{ roomId: "a" }, { roomId: "b" }, { roomId: "a" }], "rooms[2].room_id"],
    [
      "FIRST and LAST of one room",
      [
        { roomId: "a", mode: FIRST },
        { roomId: "a", mode: LAST },
      ],
      "rooms[1].room_id",
    ],
    ["a direct room in both orders", [{ roomId: "dm/ann/bob" }, { roomId: "dm/bob/ann" }], "rooms[1].room_id"],
  ])("is refused as a whole for %s", async (_what, rooms, field) => {
    const open = () => new Subscription(node.core.context, ann, create(SubscribeRequestSchema, { rooms }), () => {});
    expect(await reasonFrom(open)).toBe("FIELD_INVALID");
    expect(open).toThrow(field);
    expect(node.core.context.hub.size).toBe(0);
    expect(node.core.context.streams.size).toBe(0);
  });

  test("is refused for a service that wants a room to itself, or is bound to no tenant", async () => {
    expect(await reasonFrom(() => node.subscribe(serviceOf("acme"), joins(FIRST, "a")))).toBe("FIELD_INVALID");
    expect(await reasonFrom(() => node.subscribe(serviceOf(), joins(ANY, "a")))).toBe("FIELD_INVALID");
  });

  test("is answered room by room, and the stream goes on without the rooms that it may not enter", async () => {
    const reader = node.subscribe(ann, joins(ANY, "a", "secret", "dm/bob/cyd", "b", "dm/bob/ann"));
    await reader.first("caughtUp");
    expect(roomEvents(reader)).toEqual([
      "joined a",
      "refused secret permission_denied",
      "refused dm/bob/cyd permission_denied",
      "joined b",
      "joined dm/ann/bob",
    ]);
    expect(reader.all("room")[1]).toMatchObject({
      reason: "ROOM_FORBIDDEN",
      message: expect.stringContaining("rooms[1].room_id:"),
    });
    expect(story(reader).slice(0, 7)).toEqual([
      "hello",
      "joined",
      "refused",
      "refused",
      "joined",
      "joined",
      "caughtUp",
    ]);
    for (const room of ["a", "secret", "dm/bob/cyd", "b"]) await node.publish("acme", toRoom(room), event);
    await node.settle();
    expect(reader.messages.map(({ roomId }) => roomId)).toEqual(["a", "b"]);
    const { positions } = await reader.first("hello");
    const rooms = positions.map(({ feed }) => feed).filter((feed) => feed.startsWith("room/"));
    expect(rooms).toEqual(["room/a", "room/b", "room/dm/ann/bob"]);
  });

  test("by a service opens every room of its tenant, and counts in none", async () => {
    const reader = await node.live(serviceOf("acme"), joins(ANY, "a", "dm/ann/bob"));
    expect(roomEvents(reader)).toEqual(["joined a", "joined dm/ann/bob"]);
    await node.publish("acme", toRoom("dm/bob/ann"));
    await node.publish("globex", toRoom("a"));
    await node.publish("acme", toRoom("a"), event);
    await node.settle();
    expect(reader.messages.map(({ roomId }) => roomId).sort()).toEqual(["a", "dm/ann/bob"]);
    expect(reader.all("readState")).toEqual([]);
    expect(await count("a")).toEqual({ users: 0, connections: 0 });
  });

  test("for direct rooms never opens another pair's, however the ids are written", async () => {
    const [one, other] = [member("1"), member("12")];
    const a = await node.live(one, joins(ANY, "dm/23/1", "dm/12/3"));
    const b = await node.live(other, joins(ANY, "dm/3/12", "dm/1/23"));
    expect(roomEvents(a)).toEqual(["joined dm/1/23", "refused dm/12/3 permission_denied"]);
    expect(roomEvents(b)).toEqual(["joined dm/12/3", "refused dm/1/23 permission_denied"]);
    const slashed = await node.live(member("1/2"), joins(ANY, "dm/1%2F2/3", "dm/1/2%2F3"));
    expect(roomEvents(slashed)).toEqual(["joined dm/1%2F2/3", "refused dm/1/2%2F3 permission_denied"]);
    await node.publish("acme", toRoom("dm/3/1%2f2"), event);
    await node.publish("acme", toRoom("dm/23/1"), event);
    await node.settle();
    expect([a, b, slashed].map(({ messages }) => messages.length)).toEqual([1, 0, 1]);
  });
});

describe("A join by FIRST", () => {
  test("lets one of 20 concurrent streams in, and the others go on without the room", async () => {
    const readers = Array.from({ length: 20 }, (_, index) =>
      node.subscribe(member(`user-${index}`, ["a"]), { ...joins(FIRST, "a"), instanceId: `page-${index}` }),
    );
    const events = (await Promise.all(readers.map((reader) => untilRooms(reader)))).flat();
    expect(events.filter((each) => each === "joined a")).toHaveLength(1);
    expect(events.filter((each) => each === "refused a already_exists")).toHaveLength(19);
    await node.publish("acme", toRoom("a"), event);
    await node.settle();
    expect(readers.filter(({ messages }) => messages.length === 1)).toHaveLength(1);
    expect(await count("a")).toEqual({ users: 1, connections: 1 });
  });

  test("is not refused by a stale connection of the same page, which is kicked", async () => {
    const stale = await node.live(ann, { ...joins(FIRST, "a"), instanceId: "page" });
    const back = await node.live(ann, { ...joins(FIRST, "a"), instanceId: "page" });
    expect(roomEvents(back)).toEqual(["joined a"]);
    expect(await untilRooms(stale, 2)).toEqual(["joined a", "kicked a already_exists"]);
    const other = await node.live(bob, { ...joins(FIRST, "a"), instanceId: "page" });
    expect(roomEvents(other)).toEqual(["refused a already_exists"]);
    await stale.close();
    expect(await count("a")).toEqual({ users: 1, connections: 1 });
  });

  test("succeeds once the holder is gone", async () => {
    const holder = await node.live(ann, joins(FIRST, "a"));
    expect(roomEvents(await node.live(bob, joins(FIRST, "a")))).toEqual(["refused a already_exists"]);
    await holder.close();
    expect(roomEvents(await node.live(bob, joins(FIRST, "a")))).toEqual(["joined a"]);
  });

  test("does not bring the room's notifications into the inbox if it is refused", async () => {
    await node.live(bob, joins(FIRST, "a"));
    const outside = member("ann", ["*"]);
    await node.live(outside, joins(FIRST, "a"));
    await node.publish("acme", toRoom("a"));
    expect((await node.unread(outside)).unread.total).toBe(0);
    expect((await node.unread(bob)).unread.total).toBe(1);
  });
});

describe("A join by LAST", () => {
  test("is refused without a grant of its own, and kicks nobody, in a direct room either", async () => {
    const holder = await node.live(ann, joins(ANY, "a", "dm/ann/bob"));
    const taker = await node.live(member("bob", ["a"]), joins(LAST, "a", "dm/ann/bob"));
    expect(roomEvents(taker)).toEqual(["refused a permission_denied", "refused dm/ann/bob permission_denied"]);
    expect(taker.all("room")[1]).toMatchObject({
      reason: "ROOM_FORBIDDEN",
      message: "rooms[1].room_id: the caller may not take this room over from others; enter it by ANY or FIRST",
    });
    expect(roomEvents(holder)).toEqual(["joined a", "joined dm/ann/bob"]);
    await node.live(member("bob", ["a"], { takeover: ["**"] }), joins(LAST, "dm/ann/bob"));
    expect(await untilRooms(holder, 3)).toContain("kicked dm/ann/bob already_exists");
  });

  test("kicks every other member at once, each once", async () => {
    const readers = await Promise.all(
      Array.from({ length: 5 }, (_, i) => node.live(member(`u${i}`, ["a"]), joins(ANY, "a"))),
    );
    const last = await node.live(ann, joins(LAST, "a"));
    await node.publish("acme", toRoom("a"), event);
    await node.settle();
    for (const reader of readers) {
      expect(roomEvents(reader)).toEqual(["joined a", "kicked a already_exists"]);
      expect(reader.messages).toEqual([]);
      expect(reader.error).toBeUndefined();
    }
    expect(last.messages).toHaveLength(1);
    expect(await count("a")).toEqual({ users: 1, connections: 1 });
  });

  test("leaves one of 20 concurrent streams in, and only that one gets the room's messages", async () => {
    const presence = new SlowPresence();
    await withTestCore(
      async (node) => {
        const readers = Array.from({ length: 20 }, (_, index) =>
          node.subscribe(member(`user-${index}`, ["a"], { takeover }), joins(LAST, "a")),
        );
        await Promise.all(readers.map((reader) => reader.first("caughtUp")));
        await node.settle();
        expect(await count("a", node)).toEqual({ users: 1, connections: 1 });
        const last = readers.map((reader) => roomEvents(reader).at(-1));
        expect(last.filter((each) => each === "joined a")).toHaveLength(1);
        expect(last.filter((each) => each === "kicked a already_exists")).toHaveLength(19);
        await node.publish("acme", toRoom("a"), event);
        await node.settle();
        const heard = readers.map(({ messages }) => messages.length);
        expect(heard).toEqual(last.map((each) => (each === "joined a" ? 1 : 0)));
      },
      { presence },
    );
  });

  test("keeps a stream out that is still entering", async () => {
    const presence = new SlowPresence();
    await withTestCore(
      async (node) => {
        const entered = Promise.withResolvers<void>();
        const proceed = Promise.withResolvers<void>();
        presence.after = () => {
          presence.after = async () => {};
          entered.resolve();
          return proceed.promise;
        };
        const early = node.subscribe(ann, joins(ANY, "a"));
        await entered.promise;
        await node.live(bob, joins(LAST, "a"));
        proceed.resolve();
        await early.first("caughtUp");
        expect(await untilRooms(early)).toEqual(["kicked a already_exists"]);
        await node.publish("acme", toRoom("a"), event);
        await node.settle();
        expect(early.messages).toEqual([]);
        expect(await count("a", node)).toEqual({ users: 1, connections: 1 });
      },
      { presence },
    );
  });

  test("stops the messages to a lagging reader", async () => {
    const reader = await node.live(ann, joins(ANY, "a"));
    reader.pause();
    await node.publish("acme", toRoom("a"), event);
    await node.settle();
    for (let index = 0; index < 200; index++) await node.publish("acme", toRoom("a"), event);
    await node.live(bob, joins(LAST, "a"));
    reader.resume();
    await untilRooms(reader, 2);
    await node.settle();
    // At most the message in flight when the kick came.
    expect(reader.messages.length).toBeLessThanOrEqual(1);
    expect(story(reader).at(-1)).toBe("kicked");
  });
});

describe("A room that the hook decides about", () => {
  let hook: FakeHook;
  beforeEach(async () => {
    await node.close();
    hook = new FakeHook();
    node = await startTestCore({ authorize: hook });
  });

  test("is answered when the hook answers, and does not hold up the stream", async () => {
    const reader = node.subscribe(ann, joins(ANY, "asked", "a", "other"));
    await reader.first("caughtUp");
    expect(story(reader).slice(0, 3)).toEqual(["hello", "joined", "caughtUp"]);
    await node.publish("acme", toRoom("asked"), event);
    expect(hook.asked).toEqual(
      ["asked", "other"].map((room) => ({ tenant: "acme", user: "ann", room, action: "join", mode: "any" })),
    );
    hook.answer("other", false);
    expect(await untilRooms(reader, 2)).toEqual(["joined a", "refused other permission_denied"]);
    hook.answer("asked", true);
    expect(await untilRooms(reader, 3)).toContain("joined asked");
    await node.publish("acme", toRoom("asked"), event);
    await reader.until(({ messages }) => messages.length === 1);
    expect(await count("asked")).toEqual({ users: 1, connections: 1 });
  });

  test("is refused as unavailable if the hook cannot answer, and the stream goes on", async () => {
    const reader = await node.live(ann, joins(ANY, "asked", "a"));
    hook.breakDown();
    expect(await untilRooms(reader, 2)).toEqual(["joined a", "refused asked unavailable"]);
    await node.publish("acme", toRoom("a"), event);
    await reader.until(({ messages }) => messages.length === 1);
    expect(await count("asked")).toEqual({ users: 0, connections: 0 });
  });

  test("is entered by FIRST only if the hook allows it and the room is empty", async () => {
    const reader = await node.live(ann, joins(FIRST, "asked"));
    hook.answer("asked", true, { user: "bob" });
    await node.live(bob, joins(ANY, "asked"));
    hook.answer("asked", true, { mode: "first" });
    expect(await untilRooms(reader)).toEqual(["refused asked already_exists"]);
  });

  test("is not taken by a stream that has ended, which leaves nothing behind", async () => {
    hook.answer("asked", true, { user: "bob", mode: "first" });
    const holder = await node.live(bob, joins(FIRST, "asked"));
    const reader = await node.live(ann, joins(LAST, "asked"));
    await reader.close();
    hook.answer("asked", true, { mode: "last" });
    await node.settle();
    expect(roomEvents(holder)).toEqual(["joined asked"]);
    expect(await count("asked")).toEqual({ users: 1, connections: 1 });
    await holder.close();
    expect(node.core.context.hub.size).toBe(0);
  });

  test("is reported as kicked, without messages, if a kick came while the stream entered", async () => {
    const presence = new SlowPresence();
    hook = new FakeHook();
    await withTestCore(
      async (node) => {
        const reader = await node.live(ann, joins(ANY, "asked"));
        const proceed = Promise.withResolvers<void>();
        const entered = Promise.withResolvers<void>();
        presence.after = () => {
          presence.after = async () => {};
          entered.resolve();
          return proceed.promise;
        };
        hook.answer("asked", true);
        await entered.promise;
        hook.answer("asked", true, { user: "bob", mode: "last" });
        await node.live(bob, joins(LAST, "asked"));
        proceed.resolve();
        expect(await untilRooms(reader)).toEqual(["kicked asked already_exists"]);
        await node.publish("acme", toRoom("asked"), event);
        await node.settle();
        expect(reader.messages).toEqual([]);
      },
      { presence, authorize: hook },
    );
  });

  test("is reported as joined and then as kicked to a reader that was paused meanwhile", async () => {
    hook.answer("asked", true, { user: "bob", mode: "last" });
    const reader = await node.live(ann, joins(ANY, "asked"));
    reader.pause();
    await node.publish("acme", toRoom("a"));
    hook.answer("asked", true);
    await node.settle();
    await node.live(bob, joins(LAST, "asked"));
    await node.publish("acme", toRoom("asked"), { ...event, ttl: { seconds: 60n } });
    reader.resume();
    expect(await untilRooms(reader, 2)).toEqual(["joined asked", "kicked asked already_exists"]);
    await node.publish("acme", toRoom("asked"), event);
    await node.settle();
    expect(reader.messages).toEqual([]);
  });
});

describe("A fresh token", () => {
  test("that opens fewer rooms closes the others at once", async () => {
    const reader = await node.live(ann, joins(ANY, "a", "b"));
    await reader.subscription.refresh(member("ann", ["b"]));
    for (const room of ["a", "b"]) await node.publish("acme", toRoom(room), event);
    await reader.until(({ messages }) => messages.length > 0);
    await node.settle();
    expect(roomEvents(reader)).toEqual(["joined a", "joined b", "kicked a permission_denied"]);
    expect(reader.messages.map(({ roomId }) => roomId)).toEqual(["b"]);
    expect(await count("a")).toEqual({ users: 0, connections: 0 });
    expect(await count("b")).toEqual({ users: 1, connections: 1 });
  });

  test("that opens fewer or more rooms changes the totals to those of the lists", async () => {
    await node.publishMany("acme", toRoom("a"), 2);
    await node.publishMany("acme", toRoom("c"), 3);
    const reader = await node.live(ann, joins(ANY, "a"));
    await node.settle();
    expect(reader.badge.total).toBe(2);
    for (const rooms of [["b"], ["c"], ["a", "c"]]) {
      const fresh = member("ann", rooms);
      await reader.subscription.refresh(fresh);
      await node.settle();
      expect(reader.badge.total).toBe((await node.unread(fresh)).unread.total);
    }
    expect(reader.badge.total).toBe(5);
    await node.publish("acme", toRoom("c"));
    await node.settle();
    expect(reader.badge.total).toBe(6);
  });

  test("that opens the same changes nothing", async () => {
    const reader = await node.live(ann, joins(ANY, "a"));
    await node.settle();
    const before = reader.events.length;
    await reader.subscription.refresh({ ...ann, tokenId: "fresh" });
    await node.settle();
    expect(reader.events).toHaveLength(before);
  });

  test("applies to a room that is being entered", async () => {
    const presence = new SlowPresence();
    await withTestCore(
      async (node) => {
        presence.before = () => ticks(5);
        presence.after = () => ticks(5);
        const reader = node.subscribe(ann, joins(ANY, "a", "b"));
        await reader.subscription.refresh(member("ann", ["b"]));
        await reader.first("caughtUp");
        await node.settle();
        for (const room of ["a", "b"]) await node.publish("acme", toRoom(room), event);
        await node.settle();
        expect(roomEvents(reader)).not.toContain("joined a");
        expect(reader.messages.map(({ roomId }) => roomId)).toEqual(["b"]);
        expect(await count("a", node)).toEqual({ users: 0, connections: 0 });
      },
      { presence },
    );
  });
});

test("A stream that ends while it enters a room leaves the room", async () => {
  const presence = new SlowPresence();
  await withTestCore(
    async (node) => {
      for (let wait = 0; wait < 12; wait++) {
        presence.before = () => ticks(3);
        presence.after = () => ticks(3);
        const reader = node.subscribe(ann, joins(LAST, "a", "b"));
        await ticks(wait);
        await reader.close();
        await node.settle();
        await ticks(8);
        expect(await count("a", node), `closed after ${wait} ticks`).toEqual({ users: 0, connections: 0 });
        expect(node.core.context.hub.size, `closed after ${wait} ticks`).toBe(0);
      }
    },
    { presence },
  );
});
