/** A stream of one feed, and pages of one. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { DisconnectRequestSchema } from "../../gen/tidings/v1/admin_service_pb.ts";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { fail, reasonOf } from "../../src/errors.ts";
import { tenantFeed, userFeed } from "../../src/feeds/feed.ts";
import { readFeedPage } from "../../src/stream/feed-page.ts";
import { reasonFrom, serviceOf, toTenant, toUser, userOf, withTestCore } from "../support/core.ts";
import { feedRequest, TestFeedSink } from "../support/feed-sink.ts";

const ann = userOf("acme");
const service = serviceOf("acme");
const own = userFeed("acme", "ann");
const broadcasts = tenantFeed("acme");

describe("A stream of one feed", () => {
  test("writes what was missed, then what comes, each with the position after it", async () => {
    await withTestCore(async (node) => {
      const missed = await node.publishMany("acme", toUser("ann"), 100);
      const { sink } = TestFeedSink.open(node.core.context, ann, feedRequest(own, "oldest"));
      await node.settle();
      expect(sink.ids).toEqual(missed);
      expect(sink.states.map(({ seq, isUpToDate }) => [seq, isUpToDate])).toEqual([
        [64, false],
        [100, true],
      ]);
      const live = await node.publishMany("acme", toUser("ann"), 3);
      await node.publishMany("acme", toTenant, 3);
      await node.settle();
      expect(sink.ids).toEqual([...missed, ...live]);
      expect(sink.last).toMatchObject({ seq: 103, isUpToDate: true });
    });
  });

  test("writes its position at once when it has missed nothing, and again after each heartbeat interval", async () => {
    await withTestCore(
      async (node) => {
        await node.publishMany("acme", toUser("ann"), 3);
        const { sink } = TestFeedSink.open(node.core.context, ann, feedRequest(own, "now"));
        await node.settle();
        expect([sink.ids, sink.states]).toEqual([[], [{ epoch: expect.any(Number), seq: 3, isUpToDate: true }]]);
        await node.pass(2_500);
        expect(sink.beats).toBe(2);
        expect(sink.last).toMatchObject({ seq: 3, isUpToDate: true });
      },
      { heartbeatMs: 1_000 },
    );
  });

  test("holds nothing for a reader that takes nothing, ends after the stall time, and leaves nothing behind", async () => {
    await withTestCore(
      async (node) => {
        const { hub, streams } = node.core.context;
        const { sink } = TestFeedSink.open(node.core.context, ann, feedRequest(own, "now"));
        await node.settle();
        sink.isFull = true;
        const [first] = await node.publishMany("acme", toUser("ann"), 1);
        await node.settle();
        await node.publishMany("acme", toUser("ann"), 400);
        await node.settle();
        expect(sink.ids).toEqual([first]);
        expect(streams.figures().get("sse")).toMatchObject({ open: 1, lagging: 1 });
        await node.pass(1_000);
        expect([sink.isCut, sink.error && reasonOf(sink.error)]).toEqual([true, "READER_TOO_SLOW"]);
        expect([hub.size, streams.size]).toEqual([0, 0]);
      },
      { timeouts: { stallMs: 1_000 } },
    );
  });

  test("goes on where it stopped when a slow reader takes something again", async () => {
    await withTestCore(async (node) => {
      const { sink } = TestFeedSink.open(node.core.context, ann, feedRequest(own, "now"));
      await node.settle();
      sink.isFull = true;
      const all = await node.publishMany("acme", toUser("ann"), 1);
      await node.settle();
      // More than the ring of the feed holds.
      all.push(...(await node.publishMany("acme", toUser("ann"), 600)));
      await node.settle();
      sink.drain();
      await node.settle();
      expect(sink.ids).toEqual(all);
      expect(sink.last).toMatchObject({ seq: 601, isUpToDate: true });
    });
  });

  test("stays open while the store is away, asks it once a second, and reads what it missed once it is back", async () => {
    let isAway = false;
    let asked = 0;
    await withTestCore(
      async (node) => {
        const { sink } = TestFeedSink.open(node.core.context, ann, feedRequest(own, "now"));
        await node.settle();
        sink.isFull = true;
        const all = await node.publishMany("acme", toUser("ann"), 1);
        await node.settle();
        all.push(...(await node.publishMany("acme", toUser("ann"), 600)));
        await node.settle();
        isAway = true;
        sink.drain();
        await node.pass(3_000);
        expect(sink.error).toBeUndefined();
        expect(sink.ids.length).toBeLessThan(all.length);
        expect(asked).toBeLessThanOrEqual(4);
        isAway = false;
        await node.pass(3_000);
        expect(sink.ids).toEqual(all);
      },
      {
        around: (method, call) => {
          if (!isAway || method !== "read") return call();
          asked++;
          return Promise.reject(fail("STORE_UNAVAILABLE", "away"));
        },
      },
    );
  });

  test("that cannot begin because the store is away ends with that error", async () => {
    await withTestCore(
      async (node) => {
        const { sink } = TestFeedSink.open(node.core.context, ann, feedRequest(own, "now"));
        await node.settle();
        expect([sink.states, sink.error && reasonOf(sink.error)]).toEqual([[], "STORE_UNAVAILABLE"]);
        expect(node.core.context.streams.size).toBe(0);
      },
      {
        around: (method, call) => (method === "bounds" ? Promise.reject(fail("STORE_UNAVAILABLE", "away")) : call()),
      },
    );
  });

  test("ends at a gap that opens while its reader is slow, after the position before it", async () => {
    await withTestCore(
      async (node) => {
        const { sink } = TestFeedSink.open(node.core.context, ann, feedRequest(own, "now"));
        await node.settle();
        sink.isFull = true;
        const [first] = await node.publishMany("acme", toUser("ann"), 1);
        await node.settle();
        for (let times = 0; times < 3; times++) await node.publishMany("acme", toUser("ann"), 200);
        sink.drain();
        await node.settle();
        expect([sink.ids, sink.last?.seq]).toEqual([[first], 1]);
        expect(sink.error && reasonOf(sink.error)).toBe("POSITION_GONE");
      },
      { retention: { count: 100 } },
    );
  });

  test("says that it is up to date although the last messages are left out", async () => {
    await withTestCore(async (node) => {
      const [first, second] = await node.publishMany("acme", toUser("ann"), 2);
      await node.core.recaller.recall("acme", [second as string]);
      const { sink } = TestFeedSink.open(node.core.context, ann, feedRequest(own, "oldest"));
      await node.settle();
      expect(sink.ids).toEqual([first]);
      expect(sink.last).toMatchObject({ seq: 2, isUpToDate: true });
    });
  });

  test("leaves out messages that were recalled, are expired, or are not stored, and passes them", async () => {
    await withTestCore(async (node) => {
      const { sink } = TestFeedSink.open(node.core.context, ann, feedRequest(own, "now"));
      await node.settle();
      sink.isFull = true;
      const [first, recalled] = await node.publishMany("acme", toUser("ann"), 1).then(async ([id]) => {
        await node.settle();
        return [id, ...(await node.publishMany("acme", toUser("ann"), 1))];
      });
      const ttl = { seconds: 1n };
      await node.publish("acme", toUser("ann"), { ttl });
      await node.publish("acme", toUser("ann"), { kind: Kind.EVENT });
      await node.core.recaller.recall("acme", [recalled as string]);
      await node.pass(1_000);
      sink.drain();
      await node.settle();
      const [last] = await node.publishMany("acme", toUser("ann"), 1);
      await node.settle();
      expect(sink.ids).toEqual([first, last]);
      expect(sink.last).toMatchObject({ seq: 4, isUpToDate: true });
    });
  });

  test("of a user counts as one of the user's streams, and one of a service does not", async () => {
    await withTestCore(
      async (node) => {
        const { context } = node.core;
        const open = () => TestFeedSink.open(context, ann, feedRequest(own, "now"));
        const streams = [open(), open()];
        expect(await reasonFrom(open)).toBe("TOO_MANY_STREAMS");
        for (let times = 0; times < 3; times++) TestFeedSink.open(context, service, feedRequest(broadcasts, "now"));
        expect(context.streams.size).toBe(5);
        expect(await context.presence.count("acme")).toMatchObject({ users: 0, connections: 0 });
        for (const { stream } of streams) stream.close();
        open();
        await node.settle();
      },
      { maxStreamsPerUser: 2 },
    );
  });

  test("is ended by a block of its user that came before it began", async () => {
    await withTestCore(async (node) => {
      const blockUntil = timestampFromMs(node.clock.now() + 60_000);
      await node.core.disconnector.disconnect(service, create(DisconnectRequestSchema, { userId: "ann", blockUntil }));
      const { sink } = TestFeedSink.open(node.core.context, ann, feedRequest(own, "now"));
      await node.settle();
      expect(sink.error && reasonOf(sink.error)).toBe("CALLER_BLOCKED");
    });
  });
});

describe("A page of one feed", () => {
  test("follows nothing once it is read", async () => {
    await withTestCore(async (node) => {
      const ids = await node.publishMany("acme", toTenant, 130);
      const page = await readFeedPage(node.core.context, service, feedRequest(broadcasts, "oldest"));
      expect(page).toMatchObject({ seq: 130, isUpToDate: true });
      expect(page.messages.map((json) => JSON.parse(String(json)).id)).toEqual(ids);
      expect(node.core.context.hub.size).toBe(0);
    });
  });

  test("ends before a gap that is not at its start", async () => {
    await withTestCore(
      async (node) => {
        await node.publishMany("acme", toTenant, 130);
        const { epoch } = await readFeedPage(node.core.context, service, feedRequest(broadcasts, "now"));
        let isTrimmed = false;
        const { read } = node.store;
        node.store.read = async (...args) => {
          const slice = await read.apply(node.store, args);
          if (args[1] === 0) return slice;
          isTrimmed = true;
          return {
            ...slice,
            bounds: { ...slice.bounds, tail: 101 },
            entries: slice.entries.filter(({ seq }) => seq > 100),
          };
        };
        const page = await readFeedPage(node.core.context, service, feedRequest(broadcasts, { epoch, seq: 0 }));
        expect([page.seq, page.messages.length, page.isUpToDate, isTrimmed]).toEqual([64, 64, false, true]);
        const rest = readFeedPage(node.core.context, service, feedRequest(broadcasts, { epoch, seq: 64 }));
        expect(await reasonFrom(rest)).toBe("POSITION_GONE");
      },
      { retention: { count: 1_000 } },
    );
  });
});
