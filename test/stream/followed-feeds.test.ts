import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { PositionSchema } from "../../gen/tidings/v1/message_pb.ts";
import { MemoryBus } from "../../src/adapters/memory/bus.ts";
import { tenantFeed, userFeed } from "../../src/feeds/feed.ts";
import { Hub } from "../../src/feeds/hub.ts";
import { RingBudget } from "../../src/feeds/ring-budget.ts";
import { roomFeed } from "../../src/rooms/grants.ts";
import { type FollowedFeed, FollowedFeeds, type FollowingStream } from "../../src/stream/followed-feeds.ts";
import { FlushQueue } from "../../src/wire/flush-queue.ts";
import { reasonFrom } from "../support/core.ts";

/** The feeds of a stream whose client gave positions in these, at seqs 0, 1 and so on. */
function build(...positions: string[]) {
  const bus = new MemoryBus();
  const flushQueue = new FlushQueue(setImmediate);
  const hub = new Hub(bus, { budget: new RingBudget(2 ** 24, flushQueue), flushQueue });
  const woken: FollowedFeed[] = [];
  const stream: FollowingStream = { wake: (followed) => woken.push(followed), recalled() {} };
  const live = (tenant: string, name: string) =>
    bus.publish([{ type: "live", feed: { tenant, name }, body: new Uint8Array(0) }]);
  const given = positions.map((feed, seq) => create(PositionSchema, { feed, seq: String(seq) }));
  return { hub, live, followed: new FollowedFeeds(hub, stream, given), woken };
}

const feeds = [userFeed("acme", "ann"), tenantFeed("acme"), roomFeed("acme", "a")] as const;
const bounds = new Map(
  ["user", "tenant", "room/a", "room/dm/a%2F1/b"].map((name) => [name, { epoch: 5, seq: 10, tail: 1 }]),
);
const nothingRefused: ReadonlySet<string> = new Set();

describe("FollowedFeeds", () => {
  test("keeps feeds in the order in which they were added, and is woken by each", () => {
    const { followed, live, woken } = build();
    for (const feed of feeds) followed.add(feed, true);
    expect(followed.all.map(({ cursor }) => cursor.feed.name)).toEqual(["user", "tenant", "room/a"]);
    live("acme", "room/a");
    live("globex", "room/a");
    expect(woken.map(({ cursor }) => cursor.feed.name)).toEqual(["room/a"]);
    expect(followed.all.map(({ cursor }) => cursor.isBehind)).toEqual([false, false, true]);
  });

  test("wakes the stream once per feed until the stream has looked at it", () => {
    const { followed, live, woken } = build();
    const room = followed.add(feeds[2], true);
    live("acme", "room/a");
    live("acme", "room/a");
    expect(woken).toEqual([room]);
    room.dirty = false;
    live("acme", "room/a");
    expect(woken).toEqual([room, room]);
  });

  test("has positions of shown feeds only, and hides a feed at once", () => {
    const { followed } = build();
    followed.add(feeds[0], true);
    followed.add(feeds[1], false);
    const room = followed.add(feeds[2], true);
    expect(followed.positions.map(({ feed }) => feed)).toEqual(["user", "room/a"]);
    followed.hide("room/a");
    followed.hide("nowhere");
    expect(room.shown).toBe(false);
    expect(followed.positions.map(({ feed }) => feed)).toEqual(["user"]);
    expect(followed.get("room/a")?.cursor).toBe(room.cursor);
  });

  test("gives a hidden feed that is shown later a new cursor, and keeps its totals", () => {
    const { followed, hub } = build();
    const hidden = followed.add(feeds[2], false);
    hidden.countedThrough = 3;
    hidden.oldestCounted = 2;
    const shown = followed.add(feeds[2], true);
    expect(followed.get("room/a")).toBe(shown);
    expect(shown.cursor).not.toBe(hidden.cursor);
    expect([shown.countedThrough, shown.oldestCounted]).toEqual([3, 2]);
    expect([followed.all.length, hub.size]).toEqual([1, 1]);
    followed.close();
    expect(hub.size).toBe(0);
  });

  test("follows nothing after it was closed, not even a feed that is added later", () => {
    const { followed, hub, live, woken } = build();
    for (const feed of feeds) followed.add(feed, true);
    followed.close();
    followed.add(roomFeed("acme", "late"), true);
    followed.close();
    live("acme", "room/late");
    expect([hub.size, woken.length]).toEqual([0, 0]);
  });
});

describe("FollowedFeeds.start", () => {
  test("starts each shown feed at the client's position, or at its end without one", () => {
    const { followed } = build("user", "room/a");
    for (const feed of feeds) followed.add(feed, true);
    expect(followed.start(bounds, nothingRefused)).toEqual([]);
    expect(followed.positions.map(({ feed, seq }) => [feed, seq])).toEqual([
      ["user", "0"],
      ["tenant", "10"],
      ["room/a", "1"],
    ]);
    expect(["user", "tenant", "room/a"].map((feed) => followed.get(feed)?.hasPosition)).toEqual([true, false, true]);
  });

  test("finds the position of a direct room however the client wrote its id", () => {
    const { followed } = build("user", "room/dm/b/a%2f1");
    for (const feed of [feeds[0], roomFeed("acme", "dm/a%2F1/b")]) followed.add(feed, true);
    followed.start(bounds, nothingRefused);
    expect(followed.get("room/dm/a%2F1/b")?.seq).toBe(1);
  });

  test.each([
    ["written alike", ["user", "user"]],
    ["written differently", ["room/dm/a/b", "tenant", "room/dm/b/a"]],
  ])("refuses two positions of one feed that are %s", async (_how, positions) => {
    const { followed } = build(...positions);
    const start = () => followed.start(bounds, new Set(positions));
    expect(await reasonFrom(start)).toBe("POSITION_INVALID");
    expect(start).toThrow("positions: give one position per feed");
  });

  test("refuses a position of a feed that is not shown, and names its field", () => {
    const { followed } = build("user", "room/b", "room/a");
    followed.add(feeds[0], true);
    followed.add(feeds[2], false);
    expect(() => followed.start(bounds, new Set(["room/b"]))).toThrow("positions[2].feed:");
  });

  test("allows a position of a room that was refused, for the room's event says more", () => {
    const { followed } = build("user", "room/b");
    followed.add(feeds[0], true);
    expect(followed.start(bounds, new Set(["room/b"]))).toEqual([]);
  });
});
