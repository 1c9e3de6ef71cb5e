import { describe, expect, test } from "vitest";
import { LocalBus } from "../src/adapters/local-bus.ts";
import { tenantFeed, userFeed } from "../src/feeds.ts";
import { Follows } from "../src/follows.ts";
import { type Follower, Hub } from "../src/hub.ts";
import { roomFeed } from "../src/rooms.ts";

function build() {
  const bus = new LocalBus();
  const hub = new Hub(bus);
  let wakes = 0;
  const follower: Follower = { wake: () => wakes++, readChanged() {}, recalled() {}, disconnected() {} };
  const live = (tenant: string, name: string) =>
    bus.publish([{ type: "live", feed: { tenant, name }, body: new Uint8Array(0) }]);
  return { hub, live, follows: new Follows(hub, follower), wakes: () => wakes };
}

const feeds = [userFeed("acme", "ann"), tenantFeed("acme"), roomFeed("acme", "a")] as const;

describe("Follows", () => {
  test("has the feeds in the order in which they came, and hears of them", () => {
    const { follows, live, wakes } = build();
    for (const feed of feeds) follows.add(feed, true);
    expect(follows.all.map(({ cursor }) => cursor.feed.name)).toEqual(["user", "tenant", "room/a"]);
    live("acme", "room/a");
    live("globex", "room/a");
    expect(wakes()).toBe(1);
    expect(follows.all.map(({ cursor }) => cursor.behind)).toEqual([false, false, true]);
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
    const shown = follows.add(feeds[2], true);
    expect(follows.get("room/a")).toBe(shown);
    expect(shown.cursor).not.toBe(hidden.cursor);
    expect([follows.all.length, hub.size]).toEqual([1, 1]);
    follows.close();
    expect(hub.size).toBe(0);
  });

  test("leaves nothing when it is closed, not even of what comes after", () => {
    const { follows, hub, live, wakes } = build();
    for (const feed of feeds) follows.add(feed, true);
    follows.close();
    follows.add(roomFeed("acme", "late"), true);
    follows.close();
    live("acme", "room/late");
    expect([hub.size, wakes()]).toEqual([0, 0]);
  });
});
