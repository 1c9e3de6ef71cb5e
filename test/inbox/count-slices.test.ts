import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import { countNotifications } from "../../src/inbox/count-slices.ts";
import {
  type FeedBounds,
  type NotificationCount,
  type SeqRanges,
  type Store,
  unbounded,
} from "../../src/ports/store.ts";
import { messages, start, upTo, userFeed } from "../support/store-messages.ts";

const feeds = [userFeed("t", "ann"), { tenant: "t", name: "tenant" }, userFeed("t", "nobody")] as const;
const all: SeqRanges = [[1, unbounded]];

describe("A count of 50,000 notifications of many categories in the embedded store", () => {
  const store = new SqliteStore({ folder: ":memory:", keep: 100_000 });
  beforeAll(async () => {
    await store.open();
    const feed = ["user/ann", "tenant"];
    for (let count = 0; count < 25_000; count += 2500) {
      // More categories than a tally can have, so that each message is looked at.
      await store.append(messages("t", 2500, (index) => ({ feeds: feed, category: `c${index % 300}` })));
    }
  });
  afterAll(() => store.close());

  const total = ({ byCategory }: NotificationCount) => [...byCategory.values()].reduce((sum, count) => sum + count, 0);
  const count = (ranges: SeqRanges, counted: Store = store) =>
    countNotifications(
      counted,
      feeds.map((feed) => ({ feed, ranges })),
      start,
    );

  test("is made in parts, of which each leaves the rest", async () => {
    const part = await store.countNotifications([{ feed: feeds[0], ranges: all }], start);
    const [oldest = 0] = part.oldest;
    expect(total(part)).toBeGreaterThan(19_000);
    expect(total(part)).toBeLessThanOrEqual(20_000);
    expect(oldest).toBe(25_001 - total(part));
    expect(part.rest).toEqual([[[1, oldest - 1]]]);
  });

  test.each<{ ranges: SeqRanges; expected: number; oldest: number }>([
    { ranges: all, expected: 25_000, oldest: 1 },
    {
      ranges: [
        [1, 3],
        [10_000, 20_000],
        [20_002, unbounded],
      ],
      expected: 3 + 10_001 + 4999,
      oldest: 1,
    },
    {
      ranges: [
        [24_999, 24_999],
        [25_001, unbounded],
      ],
      expected: 1,
      oldest: 24_999,
    },
    { ranges: upTo(9000).map((number) => [2 * number + 1, 2 * number + 1] as const), expected: 9000, oldest: 3 },
    { ranges: [], expected: 0, oldest: Number.POSITIVE_INFINITY },
  ])("has all messages in $ranges.length ranges, from $oldest on", async ({ ranges, expected, oldest }) => {
    const counted = await count(ranges);
    expect(total(counted)).toBe(2 * expected);
    expect(counted.oldest).toEqual([oldest, oldest, Number.POSITIVE_INFINITY]);
    expect(counted.bounds.map(({ seq }) => seq)).toEqual([25_000, 25_000, 0]);
    expect((counted.rest ?? []).flat()).toEqual([]);
  });

  test("is exact at the bounds that it names, whatever is appended meanwhile", async () => {
    let calls = 0;
    const growing: Pick<Store, "countNotifications"> = {
      async countNotifications(asked, now) {
        const part = await store.countNotifications(asked, now);
        calls++;
        await store.append(messages("t", 1, () => ({ feeds: ["user/ann", "tenant"], category: "late" })));
        return part;
      },
    };
    const counted = await count(all, growing as Store);
    expect(calls).toBe(3);
    const [own, tenant] = counted.bounds as [FeedBounds, FeedBounds];
    expect(own.seq).toBe(25_000);
    expect(tenant.seq).toBe(25_001);
    expect(total(counted)).toBe(own.seq + tenant.seq);
    expect(counted.byCategory.get("late")).toBe(1);
  });

  test("is made again when retention has deleted what an earlier part counted", async () => {
    let calls = 0;
    const trimming: Pick<Store, "countNotifications"> = {
      async countNotifications(asked, now) {
        calls++;
        const part = await store.countNotifications(asked, now);
        if (calls !== 2) return part;
        return { ...part, bounds: part.bounds.map((bounds) => ({ ...bounds, tail: 24_000 })) };
      },
    };
    expect(total(await count(all, trimming as Store))).toBeGreaterThanOrEqual(50_000);
    expect(calls).toBe(6);
  });
});
