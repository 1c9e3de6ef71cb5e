import fc from "fast-check";
import { expect, test } from "vitest";
import { tenantFeed, userFeed } from "../../src/feeds/feed.ts";
import type { FeedStart } from "../../src/stream/feed-log.ts";
import { readFeedPage } from "../../src/stream/feed-page.ts";
import { seededRandom, ticks } from "../support/clock.ts";
import { toTenant, toUser, userOf, withTestCore } from "../support/core.ts";
import { feedRequest, TestFeedSink } from "../support/feed-sink.ts";

const ann = userOf("acme");
const feeds = [
  { feed: userFeed("acme", "ann"), to: toUser("ann") },
  { feed: tenantFeed("acme"), to: toTenant },
];

test("A feed that is read by pages, polls and streams in turn has the messages that Subscribe sends, once and in order", async () => {
  const count = fc.integer({ min: 1, max: 90 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(count, { minLength: 2, maxLength: 8 }),
      fc.nat({ max: 1 }),
      fc.nat(),
      async (bursts, which, seed) => {
        const { fraction } = seededRandom(seed);
        const wait = () => ticks(Math.floor(fraction() * 4));
        const { feed, to } = feeds[which] as (typeof feeds)[number];
        await withTestCore(
          async (node) => {
            const { context } = node.core;
            const reader = node.subscribe(ann, { positions: [{ feed: feed.name, seq: "0" }] });
            const read: string[] = [];
            let start: FeedStart = "oldest";

            /** Reads a page, or live for a while, and goes away; a slow reader takes nothing at first. */
            const readOn = async (): Promise<void> => {
              if (fraction() < 0.4) {
                const page = await readFeedPage(context, ann, feedRequest(feed, start));
                read.push(...page.messages.map((json) => JSON.parse(String(json)).id));
                start = page;
                return;
              }
              const { sink, stream } = TestFeedSink.open(context, ann, feedRequest(feed, start));
              sink.isFull = fraction() < 0.5;
              await ticks(Math.floor(fraction() * 30));
              sink.drain();
              await wait();
              stream.close();
              sink.drain();
              expect(sink.error?.rawMessage ?? "the client closed the stream").toBe("the client closed the stream");
              read.push(...sink.ids);
              start = sink.last ?? start;
            };

            for (const size of bursts) {
              void node.publishMany("acme", to, size);
              await wait();
              await readOn();
            }
            await node.settle();
            for (let isUpToDate = false; !isUpToDate; ) {
              const page = await readFeedPage(context, ann, feedRequest(feed, start));
              read.push(...page.messages.map((json) => JSON.parse(String(json)).id));
              start = page;
              ({ isUpToDate } = page);
            }
            const sent = reader.messages.filter(({ position }) => position?.feed === feed.name).map(({ id }) => id);
            expect(read).toEqual(sent);
            expect(sent).toHaveLength(bursts.reduce((sum, size) => sum + size, 0));
          },
          {
            async around(_method, call) {
              await wait();
              const answer = await call();
              await wait();
              return answer;
            },
          },
        );
      },
    ),
    { numRuns: 20 },
  );
}, 60_000);
