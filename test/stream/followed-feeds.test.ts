import { describe, expect, test } from "vitest";
import { MemoryBus } from "../../src/adapters/memory/bus.ts";
import { tenantFeed, userFeed } from "../../src/feeds/feed.ts";
import { Hub } from "../../src/feeds/hub.ts";
import { roomFeed } from "../../src/rooms/grants.ts";
import { type FollowedFeed, FollowedFeeds, type FollowingStream } from "../../src/stream/followed-feeds.ts";

function build() {
  const bus = new MemoryBus();
  const hub = new Hub(bus);
  const woken: FollowedFeed[] = [];
  const stream: FollowingStream = { wake: (followed) => woken.push(followed), recalled() {} };
  const live = (tenant: string, name: string) =>
    bus.publish([{ type: "live", feed: { tenant, name }, body: new Uint8Array(0) }]);
  return { hub, live, follows: new FollowedFeeds(hub, stream), woken };
}

const feeds = [userFeed("acme", "ann"), tenantFeed("acme"), roomFeed("acme", "a")] as const;

describe("Follows", () => {
  test("has the feeds in the order in which they came, and hears of them", () => {
    const { follows, live, woken } = build();
    for (const feed of feeds) follows.add(feed, true);
    expect(follows.all.map(({ cursor }) => cursor.feed.name)).toEqual(["user", "tenant", "room/a"]);
    live("acme", "room/a");
    live("globex", "room/a");
    expect(woken.map(({ cursor }) => cursor.feed.name)).toEqual(["room/a"]);
    expect(follows.all.map(({ cursor }) => cursor.isBehind)).toEqual([false, false, true]);
  });

  test("is told once of a feed until it has looked", () => {
    const { follows, live, woken } = build();
    const room = follows.add(feeds[2], true);
    live("acme", "room/a");
    live("acme", "room/a");
    expect(woken).toEqual([room]);
    room.pending = false;
    live("acme", "room/a");
    expect(woken).toEqual([room, room]);
  });

  test("gives positions of what it shows, and hides at once", () => {
    const { follows } = build();
    follows.add(feeds[0], true);
    follows.add(feeds[1], false);
    const room = follows.add(feeds[2], true);
    expect(follows.positions.map(({ feed }) => feed)).toEqual(["user", "room/a"]);
    follows.hide("room/a");
    follows.hide("nowhere");
    expect(room.shown).toBe(false);
    expect(follows.positions.map(({ feed }) => feed)).toEqual(["user"]);
    expect(follows.get("room/a")?.cursor).toBe(room.cursor);
  });

  test("follows a feed anew that was hidden, once", () => {
    const { follows, hub } = build();
    const hidden = follows.add(feeds[2], false);
    hidden.counted = 3;
    hidden.oldest = 2;
    const shown = follows.add(feeds[2], true);
    expect(follows.get("room/a")).toBe(shown);
    expect(shown.cursor).not.toBe(hidden.cursor);
    expect([shown.counted, shown.oldest]).toEqual([3, 2]);
    expect([follows.all.length, hub.size]).toEqual([1, 1]);
    follows.close();
    expect(hub.size).toBe(0);
  });

  test("leaves nothing when it is closed, not even of what comes after", () => {
    const { follows, hub, live, woken } = build();
    for (const feed of feeds) follows.add(feed, true);
    follows.close();
    follows.add(roomFeed("acme", "late"), true);
    follows.close();
    live("acme", "room/late");
    expect([hub.size, woken.length]).toEqual([0, 0]);
  });
});
