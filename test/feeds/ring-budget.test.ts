import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MemoryBus } from "../../src/adapters/memory/bus.ts";
import { everyoneFeed, type NamedFeed, tenantFeed, userFeed } from "../../src/feeds/feed.ts";
import { type FeedFollower, Hub } from "../../src/feeds/hub.ts";
import type { Ring } from "../../src/feeds/ring.ts";
import { RingBudget } from "../../src/feeds/ring-budget.ts";
import { unbounded } from "../../src/ports/store.ts";
import { roomFeed } from "../../src/rooms/grants.ts";
import { Cursor } from "../../src/stream/cursor.ts";
import { FlushQueue } from "../../src/wire/flush-queue.ts";
import { webSocketProto } from "../../src/wire/formats.ts";

const epoch = 1;

/** A hub on a budget, and a Store that has every message. */
class Node {
  readonly #bus = new MemoryBus();
  readonly #stored = new Map<string, number>();
  readonly #flushes: (() => void)[] = [];
  readonly flushQueue = new FlushQueue((call) => this.#flushes.push(call));
  readonly budget: RingBudget;
  readonly hub: Hub;
  readonly readers: Reader[] = [];

  constructor(maxBytes: number) {
    this.budget = new RingBudget(maxBytes, this.flushQueue);
    this.hub = new Hub(this.#bus, { budget: this.budget, flushQueue: this.flushQueue });
  }

  /** The last seq of a feed in the Store. */
  end({ key }: NamedFeed): number {
    return this.#stored.get(`${key.tenant} ${key.name}`) ?? 0;
  }

  append(feed: NamedFeed, bytes = 100): void {
    const seq = this.end(feed) + 1;
    this.#stored.set(`${feed.key.tenant} ${feed.key.name}`, seq);
    const body = new Uint8Array(bytes);
    const expireTime = Number.POSITIVE_INFINITY;
    this.#bus.publish([{ type: "entry", feed: feed.key, epoch, seq, id: `${seq}`, body, expireTime }]);
  }

  follow(feed: NamedFeed, after = this.end(feed), isLagging = false): Reader {
    const reader = new Reader(this, feed, after, isLagging);
    this.readers.push(reader);
    return reader;
  }

  unfollow(reader: Reader): void {
    this.hub.unfollow(reader.feed, reader);
    this.readers.splice(this.readers.indexOf(reader), 1);
  }

  /** Ends the event-loop tick: readers that keep up take their frames. */
  flush(): void {
    for (const call of this.#flushes.splice(0)) call();
  }

  get rings(): ReadonlySet<Ring> {
    return new Set(this.readers.map(({ ring }) => ring));
  }
}

/** A reader that takes frames at the end of each tick, or, where it lags, when `read` is called. */
class Reader implements FeedFollower {
  readonly feed: NamedFeed;
  readonly ring: Ring;
  readonly cursor: Cursor;
  /** The seqs that it has read, from the ring and from the Store. */
  readonly got: number[] = [];
  fromStore = 0;
  readonly #node: Node;
  readonly #isLagging: boolean;

  constructor(node: Node, feed: NamedFeed, after: number, isLagging: boolean) {
    this.#node = node;
    this.feed = feed;
    this.#isLagging = isLagging;
    this.ring = node.hub.follow(feed, this);
    this.cursor = new Cursor(feed, this.ring);
    const position = { $typeName: "tidings.v1.Position" as const, feed: feed.name, epoch, seq: String(after) };
    this.cursor.start({ epoch, seq: node.end(feed), tail: 1 }, { position, field: "" });
    if (!isLagging) this.wake();
  }

  get seq(): number {
    return this.cursor.seq;
  }

  get slot(): number {
    return this.cursor.slot;
  }

  wake(): void {
    if (!this.#isLagging) this.#node.flushQueue.add({ flush: () => this.read() });
  }

  recalled(): void {}

  /** Reads everything, as a stream does: the Store up to where the ring misses something. */
  read(limit = Number.POSITIVE_INFINITY): void {
    const end = this.got.length + limit;
    while (this.got.length < end) {
      const { frames, missing } = this.cursor.take(Math.min(64, end - this.got.length), unbounded);
      for (const frame of frames) {
        frame.encoded(webSocketProto);
        this.got.push(frame.seq);
      }
      if (missing === undefined && frames.length === 0 && this.seq >= this.#node.end(this.feed)) return;
      const upTo = missing ?? this.#node.end(this.feed);
      if (frames.length > 0) continue;
      for (; this.cursor.seq < upTo; this.cursor.seq++) {
        this.got.push(this.cursor.seq + 1);
        this.fromStore++;
      }
    }
  }
}

const own = userFeed("acme", "ann");
const room = (name: string, tenant = "acme") => roomFeed(tenant, name);
const plenty = 2 ** 24;

describe("The ring of a user's own feed", () => {
  test("is freed when every reader has passed its frames", () => {
    const node = new Node(plenty);
    const [page, phone] = [node.follow(own), node.follow(own, 0, true)];
    node.append(own);
    node.append(own);
    node.flush();
    expect(page.got).toEqual([1, 2]);
    expect(page.ring.end - page.ring.first, "for the phone").toBe(2);
    phone.read(1);
    node.flush();
    expect(page.ring.end - page.ring.first, "for the phone").toBe(1);
    phone.read();
    node.flush();
    expect(page.ring.end - page.ring.first).toBe(0);
    expect([phone.got, phone.fromStore]).toEqual([[1, 2], 0]);
    expect(node.budget.bytes).toBe(0);
  });

  test("is freed when the reader that it waited for goes", () => {
    const node = new Node(plenty);
    node.follow(own);
    const phone = node.follow(own, 0, true);
    node.append(own);
    node.flush();
    expect(node.budget.bytes).toBeGreaterThan(0);
    node.unfollow(phone);
    node.flush();
    expect(node.budget.bytes).toBe(0);
  });

  test("is empty for a page that returns beside another page, and that page reads the Store", () => {
    const node = new Node(plenty);
    node.follow(own);
    for (let count = 0; count < 5; count++) node.append(own);
    node.flush();
    const back = node.follow(own, 3);
    node.flush();
    expect([back.got, back.fromStore]).toEqual([[4, 5], 2]);
  });
});

describe("The ring of a room", () => {
  test("stays for readers that return, and goes with the last reader", () => {
    const node = new Node(plenty);
    const page = node.follow(room("editor"));
    for (let count = 0; count < 5; count++) node.append(room("editor"));
    node.flush();
    const back = node.follow(room("editor"), 3);
    node.flush();
    expect([back.got, back.fromStore]).toEqual([[4, 5], 0]);
    expect(node.budget.bytes).toBe(page.ring.bytes);
    node.unfollow(page);
    node.unfollow(back);
    expect(node.budget.bytes).toBe(0);
  });

  test("counts the encodings that readers have asked for", () => {
    const node = new Node(plenty);
    node.follow(room("editor"), 0, true);
    node.append(room("editor"), 10_000);
    node.flush();
    const { bytes } = node.budget;
    expect(bytes).toBeGreaterThan(10_000);
    node.readers[0]?.read();
    node.flush();
    expect(node.budget.bytes).toBeGreaterThan(bytes + 10_000);
  });
});

describe("The budget of all rings", () => {
  test("makes the least recently used rings give up their frames, which readers then get from the Store", () => {
    const node = new Node(250_000);
    // Of different tenants, so that none exceeds its share.
    const rooms = ["a", "b", "c", "d", "e"].map((tenant) => room("r", tenant));
    const readers = rooms.map((feed) => node.follow(feed, 0, true));
    for (const feed of rooms) {
      node.append(feed, 60_000);
      node.flush();
    }
    const held = () => readers.map(({ ring }) => ring.end - ring.first);
    expect(held()).toEqual([0, 1, 1, 1, 1]);
    expect(node.budget.evictions).toBe(1);
    // Reading counts as use, and adds an encoding.
    readers[1]?.read();
    node.flush();
    node.append(room("r", "a"), 60_000);
    node.flush();
    expect(held()).toEqual([1, 1, 0, 0, 1]);
    for (const reader of readers) reader.read();
    expect(readers.map(({ got, fromStore }) => [got.length, fromStore])).toEqual([
      [2, 1],
      [1, 0],
      [1, 1],
      [1, 1],
      [1, 0],
    ]);
  });

  test("gives one tenant at most half", () => {
    const node = new Node(1_000_000);
    const quiet = node.follow(room("quiet", "other"), 0, true);
    node.append(room("quiet", "other"), 60_000);
    node.flush();
    for (let index = 0; index < 100; index++) {
      node.follow(room(`dm ${index}`), 0, true);
      node.append(room(`dm ${index}`), 60_000);
      node.flush();
    }
    expect(quiet.ring.end - quiet.ring.first).toBe(1);
    expect(node.budget.bytes).toBeLessThanOrEqual(500_000 + quiet.ring.bytes);
    expect(node.budget.bytes).toBeGreaterThan(400_000);
  });

  test("delivers everything even at zero bytes, because rings hold what arrives within a tick", () => {
    const node = new Node(0);
    const [reader, late] = [node.follow(room("r")), node.follow(room("r"), 0, true)];
    for (let count = 0; count < 10; count++) {
      node.append(room("r"), 60_000);
      node.flush();
      expect(node.budget.bytes).toBe(0);
    }
    late.read();
    expect([reader.got.length, reader.fromStore]).toEqual([10, 0]);
    expect([late.got.length, late.fromStore]).toEqual([10, 10]);
  });

  test("holds after any appends, reads, follows and unfollows, and nothing is lost, repeated or out of order", () => {
    const feeds = [own, userFeed("acme", "bob"), tenantFeed("acme"), everyoneFeed, room("r"), room("r", "other")];
    const feed = fc.constantFrom(...feeds);
    const index = fc.nat({ max: 20 });
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant("append" as const), feed, bytes: fc.nat({ max: 70_000 }) }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant("flush" as const) }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant("read" as const), index, limit: fc.nat({ max: 5 }) }) },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant("follow" as const),
          feed,
          back: fc.nat({ max: 9 }),
          lags: fc.boolean(),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("unfollow" as const), index }) },
    );
    const budgets = fc.constantFrom(0, 1, 5_000, 100_000, 1_000_000);
    fc.assert(
      fc.property(budgets, fc.array(step, { maxLength: 120 }), (maxBytes, steps) => {
        const node = new Node(maxBytes);
        const starts = new Map<Reader, number>();
        for (const each of steps) {
          if (each.do === "append") node.append(each.feed, each.bytes);
          else if (each.do === "follow") {
            const after = Math.max(0, node.end(each.feed) - each.back);
            starts.set(node.follow(each.feed, after, each.lags), after);
          } else if (each.do === "flush") {
            node.flush();
            expect(node.budget.bytes).toBeLessThanOrEqual(maxBytes);
            const rings = [...node.rings];
            expect(node.budget.bytes).toBe(rings.reduce((sum, { bytes }) => sum + bytes, 0));
            for (const tenant of ["acme", "other", ""]) {
              const ofTenant = rings.filter((ring) => ring.tenant === tenant);
              expect(ofTenant.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(maxBytes / 2);
            }
          } else {
            const reader = node.readers[each.index % Math.max(1, node.readers.length)];
            if (reader && each.do === "read") reader.read(each.limit);
            else if (reader) node.unfollow(reader);
          }
        }
        node.flush();
        for (const reader of node.readers) {
          reader.read();
          const start = starts.get(reader) as number;
          const all = Array.from({ length: node.end(reader.feed) - start }, (_, at) => start + 1 + at);
          expect(reader.got).toEqual(all);
        }
        for (const reader of [...node.readers]) node.unfollow(reader);
        node.flush();
        expect([node.budget.bytes, node.hub.size]).toEqual([0, 0]);
      }),
      { numRuns: 300 },
    );
  });
});
