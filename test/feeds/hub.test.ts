import { describe, expect, test } from "vitest";
import { MemoryBus } from "../../src/adapters/memory/bus.ts";
import { everyoneFeed, type NamedFeed, tenantFeed, userFeed } from "../../src/feeds/feed.ts";
import { type FeedFollower, Hub, type UserFollower } from "../../src/feeds/hub.ts";
import { RingBudget } from "../../src/feeds/ring-budget.ts";
import type { DisconnectNotice, EntryNotice, ReadNotice, RecallNotice } from "../../src/ports/bus.ts";
import type { FeedKey } from "../../src/ports/store.ts";
import { FlushQueue } from "../../src/wire/flush-queue.ts";

class Log implements FeedFollower, UserFollower {
  readonly seq = 0;
  readonly slot = 0;
  wakes = 0;
  readonly reads: ReadNotice[] = [];
  readonly recalls: RecallNotice[] = [];
  readonly disconnects: DisconnectNotice[] = [];

  wake(): void {
    this.wakes++;
  }
  readChanged(notice: ReadNotice): void {
    this.reads.push(notice);
  }
  recalled(notice: RecallNotice): void {
    this.recalls.push(notice);
  }
  disconnected(notice: DisconnectNotice): void {
    this.disconnects.push(notice);
  }
  recheck(): void {}
}

function entry({ key }: NamedFeed, seq = 1): EntryNotice {
  const body = new Uint8Array(0);
  return { type: "entry", feed: key, epoch: 9, seq, id: `id-${seq}`, body, expireTime: Number.POSITIVE_INFINITY };
}

function read(tenant: string, user: string): ReadNotice {
  return { type: "read", tenant, user, readIds: ["a"], unreadIds: [], deletedIds: [], all: false };
}

function build() {
  const bus = new MemoryBus();
  const flushQueue = new FlushQueue(setImmediate);
  return { bus, hub: new Hub(bus, { budget: new RingBudget(2 ** 24, flushQueue), flushQueue }) };
}

describe("Hub", () => {
  test("wakes the followers of a feed, and puts the frame into its ring", () => {
    const { bus, hub } = build();
    const [one, two, other] = [new Log(), new Log(), new Log()];
    const feed = userFeed("acme", "ann");
    const ring = hub.follow(feed, one);
    expect(hub.follow(feed, two)).toBe(ring);
    hub.follow(userFeed("acme", "bob"), other);
    bus.publish([entry(feed, 3)]);
    expect([one.wakes, two.wakes, other.wakes]).toEqual([1, 1, 0]);
    expect(ring.at(0).message.position).toMatchObject({ feed: "user", epoch: 9, seq: "3" });
  });

  test("has an interest in each feed and user that somebody follows, until the last one leaves", () => {
    const { bus } = build();
    const counts = new Map<string, number>();
    const change =
      (by: number) =>
      ({ tenant, name }: FeedKey) => {
        const key = `${tenant} ${name}`;
        counts.set(key, (counts.get(key) ?? 0) + by);
        if (counts.get(key) === 0) counts.delete(key);
      };
    const restrict = () => ({ add: change(1), delete: change(-1) });
    const flushQueue = new FlushQueue(setImmediate);
    const hub = new Hub(Object.assign(bus, { restrict }), { budget: new RingBudget(2 ** 24, flushQueue), flushQueue });
    const [one, two] = [new Log(), new Log()];
    for (const log of [one, two]) {
      hub.follow(tenantFeed("acme"), log);
      hub.joinUser("acme", "ann", log);
    }
    hub.follow(userFeed("acme", "ann"), one);
    expect(Object.fromEntries(counts)).toEqual({ "acme tenant": 1, "acme user/ann": 2 });
    for (const log of [one, one]) {
      hub.unfollow(tenantFeed("acme"), log);
      hub.unfollow(userFeed("acme", "ann"), log);
      hub.leaveUser("acme", "ann", log);
    }
    expect(Object.fromEntries(counts)).toEqual({ "acme tenant": 1, "acme user/ann": 1 });
    hub.unfollow(tenantFeed("acme"), two);
    hub.leaveUser("acme", "ann", two);
    expect(counts.size).toBe(0);
  });

  test("keeps feeds apart whose names are alike when joined", () => {
    const { bus, hub } = build();
    const feeds = [
      userFeed("a", "b"),
      userFeed("a", "b/c"),
      userFeed("a/user", "b"),
      tenantFeed("a"),
      tenantFeed("a/user/b"),
      everyoneFeed,
    ];
    const logs = feeds.map((feed) => {
      const log = new Log();
      hub.follow(feed, log);
      return log;
    });
    for (const [index, feed] of feeds.entries()) {
      bus.publish([entry(feed)]);
      expect(logs.map(({ wakes }) => wakes)).toEqual(feeds.map((_, other) => (other <= index ? 1 : 0)));
    }
  });

  test("gives a message that is not stored no position", () => {
    const { bus, hub } = build();
    const ring = hub.follow(everyoneFeed, new Log());
    bus.publish([{ type: "live", feed: everyoneFeed.key, body: new Uint8Array(0) }]);
    expect(ring.at(0)).toMatchObject({ seq: 0, id: "" });
    expect(ring.at(0).message.position).toBeUndefined();
  });

  test("reports a change of a read state to the followers of that user only", () => {
    const { bus, hub } = build();
    const [ann, bob, elsewhere] = [new Log(), new Log(), new Log()];
    hub.joinUser("acme", "ann", ann);
    hub.joinUser("acme", "bob", bob);
    hub.joinUser("globex", "ann", elsewhere);
    const notice = read("acme", "ann");
    bus.publish([notice]);
    expect([ann.reads, bob.reads, elsewhere.reads]).toEqual([[notice], [], []]);
  });

  test("marks recalled frames, and reports them to the followers of the feed only", () => {
    const { bus, hub } = build();
    const [ann, bob] = [new Log(), new Log()];
    const ring = hub.follow(userFeed("acme", "ann"), ann);
    hub.follow(userFeed("acme", "bob"), bob);
    bus.publish([entry(userFeed("acme", "ann"), 1), entry(userFeed("acme", "ann"), 2)]);
    const notice: RecallNotice = { type: "recall", feed: userFeed("acme", "ann").key, ids: ["id-1"] };
    bus.publish([notice]);
    expect([ann.recalls, bob.recalls]).toEqual([[notice], []]);
    expect([ring.at(0).recalled, ring.at(1).recalled]).toEqual([true, false]);
  });

  test("counts the streams of a user", () => {
    const { hub } = build();
    const [one, two] = [new Log(), new Log()];
    hub.joinUser("acme", "ann", one);
    hub.joinUser("acme", "ann", two);
    expect([hub.streamsOf("acme", "ann"), hub.streamsOf("globex", "ann")]).toEqual([2, 0]);
    hub.leaveUser("acme", "ann", one);
    expect(hub.streamsOf("acme", "ann")).toBe(1);
  });

  test("keeps nothing of followers that left, and lets them leave twice", () => {
    const { bus, hub } = build();
    const [one, two] = [new Log(), new Log()];
    const feed = tenantFeed("acme");
    hub.follow(feed, one);
    hub.follow(feed, two);
    hub.joinUser("acme", "ann", one);
    hub.unfollow(feed, one);
    hub.unfollow(feed, one);
    hub.leaveUser("acme", "ann", one);
    hub.leaveUser("acme", "ann", one);
    bus.publish([entry(feed), read("acme", "ann")]);
    expect([one.wakes, one.reads.length, two.wakes]).toEqual([0, 0, 1]);
    hub.unfollow(feed, two);
    expect(hub.size).toBe(0);
  });

  test("ignores the bus after it was closed", () => {
    const { bus, hub } = build();
    const log = new Log();
    hub.follow(tenantFeed("acme"), log);
    hub.close();
    bus.publish([entry(tenantFeed("acme"))]);
    expect(log.wakes).toBe(0);
  });
});
