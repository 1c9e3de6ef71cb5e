import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { Subscription } from "../../src/stream/subscription.ts";
import type { Encodable } from "../../src/wire/formats.ts";
import { FakeClock, ticks } from "../support/clock.ts";
import { publishRequest, serviceOf, type TestCore, toTenant, toUser, userOf, withTestCore } from "../support/core.ts";
import { Page, type PageFormat, pageFormats } from "../support/page.ts";

/** A clock that counts how often it is read: once for each decision about a batch. */
class CountingClock extends FakeClock {
  reads = 0;

  override now(): number {
    this.reads++;
    return super.now();
  }
}

/** A format of pages that counts the events that it encodes. */
function counting({ format, read }: PageFormat): PageFormat & { readonly encoded: readonly Encodable[] } {
  const encoded: Encodable[] = [];
  const encode = (event: Encodable) => {
    encoded.push(event);
    return format.encode(event);
  };
  return { format: { index: format.index, encode }, read, encoded };
}

const [json, proto] = pageFormats as readonly [PageFormat, PageFormat];

/** Opens pages of different users, and waits until they are live. */
async function openPages(
  node: TestCore,
  count: number,
  format: PageFormat,
  request: MessageInitShape<typeof SubscribeRequestSchema> = {},
): Promise<Page[]> {
  const { context } = node.core;
  const first = context.streams.size;
  const pages = Array.from({ length: count }, (_, index) => {
    const subscribe = create(SubscribeRequestSchema, request);
    return new Page(
      new Subscription(context, userOf("acme", `user-${first + index}`), subscribe, () => {}),
      format,
      context.flushQueue,
    );
  });
  await node.settle();
  for (const page of pages) {
    expect(page.events.at(-1)?.case).toBe("caughtUp");
    page.events.length = page.writes.length = 0;
  }
  return pages;
}

/** The different buffers among the writes of pages. */
function buffers(pages: readonly Page[]): ReadonlySet<Buffer> {
  return new Set(pages.flatMap(({ writes }) => writes));
}

/** The number of reads of the clock from the publication of a message until all pages have it. */
async function readsOfOne(node: TestCore, clock: CountingClock): Promise<number> {
  await node.publish("acme", toTenant);
  await node.settle();
  const before = clock.reads;
  await node.publish("acme", toTenant);
  await node.settle();
  return clock.reads - before;
}

describe("Streams with the same filter", () => {
  test("share one buffer per message and format, however many they are", async () => {
    await withTestCore(async (node) => {
      const [first, second] = [counting(json), counting(proto)];
      const pages = [await openPages(node, 1000, first), await openPages(node, 1000, second)] as const;
      // The ring does not know the end of the feed before the first message.
      await node.publish("acme", toTenant);
      await node.settle();
      for (const page of pages.flat()) page.writes.length = 0;
      const encoded = [first.encoded.length, second.encoded.length] as const;
      await node.publish("acme", toTenant);
      await node.settle();
      expect(pages.flat().every(({ writes }) => writes.length === 1)).toBe(true);
      expect([buffers(pages[0]).size, buffers(pages[1]).size]).toEqual([1, 1]);
      expect([first.encoded.length - encoded[0], second.encoded.length - encoded[1]]).toEqual([1, 1]);
    });
  });

  test("share one write of all messages of an event-loop tick", async () => {
    await withTestCore(async (node) => {
      const format = counting(json);
      const pages = await openPages(node, 1000, format);
      await node.publish("acme", toTenant);
      await node.settle();
      for (const page of pages) page.writes.length = 0;
      const before = format.encoded.length;
      await node.publishMany("acme", toTenant, 100);
      await node.settle();
      expect(pages.every(({ writes }) => writes.length === 1)).toBe(true);
      expect(pages.every((page) => page.messages().length === 101)).toBe(true);
      expect(buffers(pages).size).toBe(1);
      expect(format.encoded.length - before).toBe(100);
    });
  });

  test("share one decision per message, however many they are", async () => {
    const reads: number[] = [];
    for (const count of [10, 1000]) {
      const clock = new CountingClock();
      await withTestCore(
        async (node) => {
          await openPages(node, count, json);
          await openPages(node, count, json, { kinds: [Kind.NOTIFICATION] });
          await openPages(node, count, proto, { kinds: [Kind.NOTIFICATION] });
          reads.push(await readsOfOne(node, clock));
        },
        { clock },
      );
    }
    expect(reads[1]).toBe(reads[0]);
  });

  test("share a buffer with the streams that send the same frames, and with no others", async () => {
    await withTestCore(async (node) => {
      const all = await openPages(node, 3, json);
      const some = await openPages(node, 3, json, { categories: ["a"] });
      const none = await openPages(node, 3, json, { categories: ["c"], kinds: [Kind.EVENT] });
      await node.publish("acme", toTenant, { kind: Kind.EVENT, category: "a", ttl: { seconds: 60n } });
      await node.settle();
      for (const page of [all, some, none].flat()) page.writes.length = 0;
      await node.publishMany("acme", toTenant, 2, (index) => ({
        kind: Kind.EVENT,
        category: index === 0 ? "a" : "b",
        ttl: { seconds: 60n },
      }));
      await node.settle();
      expect([buffers(all).size, buffers(some).size, buffers(none).size]).toEqual([1, 1, 0]);
      expect(all.map((page) => page.messages().length)).toEqual([3, 3, 3]);
      expect(some.map((page) => page.messages().length)).toEqual([2, 2, 2]);
    });
  });
});

describe("A stream of a group", () => {
  test("with news in two feeds in one event-loop tick writes once, in the order of the news", async () => {
    await withTestCore(async (node) => {
      const pages = await openPages(node, 3, json);
      await node.publish("acme", toTenant);
      await node.publish("acme", toUser("user-1"));
      await node.settle();
      for (const page of pages) page.events.length = page.writes.length = 0;
      await node.core.publisher.publish(serviceOf("acme"), [
        publishRequest(toTenant),
        publishRequest(toUser("user-1")),
      ]);
      await node.settle();
      expect(pages.map(({ writes }) => writes.length)).toEqual([1, 1, 1]);
      expect(pages[1]?.messages().map(({ position }) => position?.feed)).toEqual(["tenant", "user"]);
    });
  });

  test("that is full goes on alone when it drains, and is in the group again afterwards", async () => {
    await withTestCore(async (node) => {
      const pages = await openPages(node, 3, json);
      const [slow] = pages as [Page];
      slow.pause();
      await node.publishMany("acme", toTenant, 2);
      await node.settle();
      await node.publishMany("acme", toTenant, 2);
      await node.settle();
      expect(pages.map((page) => page.messages().length)).toEqual([2, 4, 4]);
      slow.resume();
      await node.settle();
      expect(pages.map((page) => page.messages().length)).toEqual([4, 4, 4]);
      for (const page of pages) page.writes.length = 0;
      await node.publish("acme", toTenant);
      await node.settle();
      expect(buffers(pages).size).toBe(1);
    });
  });

  test("that closes or gets a heartbeat in the same event-loop tick costs the others nothing", async () => {
    await withTestCore(async (node) => {
      const pages = await openPages(node, 4, json);
      const [closing, beating] = pages as [Page, Page];
      await node.publish("acme", toTenant);
      // The batch is made by now, and is delivered at the end of this tick.
      closing.subscription.close();
      beating.subscription.beat();
      await ticks(2);
      expect(pages.map((page) => page.messages().length)).toEqual([0, 1, 1, 1]);
      expect(beating.events.map((event) => event.case)).toEqual(["message", "heartbeat"]);
    });
  });
});
