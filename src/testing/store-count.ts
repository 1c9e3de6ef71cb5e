import fc from "fast-check";
import { expect, test } from "vitest";
import { type Entry, type FeedKey, notificationKind, type SeqRanges, type Store } from "../ports/store.ts";
import { endless, message, never, readAll, start, userFeed } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

/** Feeds lose their oldest messages during a script, and hold enough for a store that counts some of them together. */
const keep = 1500;
const tenant = "t";
const feeds: readonly FeedKey[] = [userFeed(tenant), { tenant, name: "tenant" }];

const one = <T>(...values: T[]) => fc.constantFrom(...values);
const numbers = fc.array(fc.nat(), { minLength: 1, maxLength: 30 });

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      count: one(1, 90, 700, 1300),
      /** Names of one feed, or of both. */
      feeds: one(["user/ann"], ["user/ann"], ["tenant"], ["user/ann", "tenant"]),
      categories: one(1, 1, 3, 200),
      kinds: one([1], [1], [1, 2, 3], [3]),
      /** One in this many messages expires. */
      expiring: one(Number.POSITIVE_INFINITY, 1, 40, 400),
      lives: one(5, 40, 1000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("recall" as const), picks: numbers, replaces: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: one(1, 10, 50, 2000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("trim" as const), age: one(0, 20, 100) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Counts of long feeds equal those of everything that can be read, whatever has happened to the feeds. */
export function longCountLaw(bench: StoreBench): void {
  test("equals a count of everything that is read, after every step of a random script", {
    timeout: 120_000,
  }, async () => {
    const script = fc.array(fc.tuple(step, numbers), { minLength: 3, maxLength: 9 });
    await fc.assert(
      fc.asyncProperty(script, (steps) =>
        bench.alone(keep, async (opened) => {
          let { store } = opened;
          let now = start;
          const ids: string[] = [];
          for (const [next, picks] of steps) {
            now += next.do === "wait" ? next.ms : 1;
            if (next.do === "reopen") {
              if (opened.reopen) ({ store } = await opened.reopen());
            } else await take(store, next, now, ids);
            // The first count may make a store prepare tallies, which must not change the second.
            for (let round = 0; round < 2; round++) await compare(store, picks, now);
          }
        }),
      ),
      // Scripts of long feeds take several times as long as others.
      { numRuns: Math.ceil(bench.scripts / 3) },
    );
  });
}

async function take(store: Store, next: Exclude<Step, { do: "reopen" }>, now: number, ids: string[]): Promise<void> {
  switch (next.do) {
    case "append": {
      const appended = Array.from({ length: next.count }, (_, index) =>
        message(tenant, {
          feeds: next.feeds,
          kind: next.kinds[index % next.kinds.length] as number,
          category: index % next.categories === 0 ? "" : `c${index % next.categories}`,
          publishTime: now,
          expireTime: index % next.expiring === 0 ? now + next.lives + (index % 7) : never,
          // The last one can be replaced.
          ...(index === next.count - 1 ? { key: "k", digest: String(ids.length), replace: true } : {}),
        }),
      );
      await store.append(appended);
      ids.push(...appended.map(({ id }) => id));
      return;
    }
    case "recall": {
      const picked = next.picks.map((pick) => ids[pick % Math.max(1, ids.length)] ?? "");
      await store.recall(tenant, picked);
      if (next.replaces)
        await store.append([message(tenant, { publishTime: now, key: "k", digest: "r", replace: true })]);
      return;
    }
    case "trim":
      while ((await store.trim(now - next.age, now)) > 0);
  }
}

/** Counts both feeds in several ranges, and compares the counts with the entries that can be read. */
async function compare(store: Store, picks: readonly number[], now: number): Promise<void> {
  const entries = await Promise.all(feeds.map((feed) => readAll(store, feed, now, 1000)));
  const bounds = await store.bounds(feeds);
  const end = Math.max(1, ...bounds.map(({ seq }) => seq));
  for (const ranges of rangesOf(picks, end)) {
    const { byCategory, ...counted } = await countAll(store, ranges, now);
    const { byCategory: expected, ...rest } = naive(entries, ranges);
    expect({ byCategory: sorted(byCategory), ...counted }, JSON.stringify(ranges)).toEqual({
      byCategory: sorted(expected),
      ...rest,
      bounds,
    });
  }
}

/** Ranges of a feed up to `end`: all, one, few seqs, all but few, and the newest ones. */
function rangesOf(picks: readonly number[], end: number): SeqRanges[] {
  const seqs = [...new Set(picks.map((pick) => 1 + (pick % end)))].sort((a, b) => a - b);
  const [first = 1, last = first] = [seqs[0], seqs.at(-1)];
  const gaps = seqs.map((seq, index) => [(seqs[index - 1] ?? 0) + 1, seq - 1] as const);
  return [
    [[1, endless]],
    [[first, last]],
    seqs.map((seq) => [seq, seq] as const),
    [...gaps.filter(([from, to]) => from <= to), [last + 1, endless]],
    [[Math.max(1, end - (first % 100)), endless]],
  ];
}

/** Counts to the end, also in a store that counts in parts. */
async function countAll(store: Store, ranges: SeqRanges, now: number) {
  const count = await store.countNotifications(
    feeds.map((feed) => ({ feed, ranges })),
    now,
  );
  const byCategory = new Map(count.byCategory);
  const oldest = [...count.oldest];
  let { nextExpiry, rest = [] } = count;
  while (rest.some((left) => left.length > 0)) {
    const part = await store.countNotifications(
      feeds.map((feed, index) => ({ feed, ranges: rest[index] ?? [] })),
      now,
    );
    for (const [category, counted] of part.byCategory)
      byCategory.set(category, (byCategory.get(category) ?? 0) + counted);
    part.oldest.forEach((seq, index) => {
      oldest[index] = Math.min(seq, oldest[index] as number);
    });
    nextExpiry = Math.min(nextExpiry, part.nextExpiry);
    rest = part.rest ?? [];
  }
  return { byCategory, nextExpiry, oldest, bounds: count.bounds };
}

function naive(entries: readonly (readonly Entry[])[], ranges: SeqRanges) {
  const counted = entries.map((each) =>
    each.filter(({ kind, seq }) => kind === notificationKind && ranges.some(([from, to]) => from <= seq && seq <= to)),
  );
  const byCategory = new Map<string, number>();
  for (const { category } of counted.flat()) byCategory.set(category, (byCategory.get(category) ?? 0) + 1);
  return {
    byCategory,
    nextExpiry: Math.min(Number.POSITIVE_INFINITY, ...counted.flat().map(({ expireTime }) => expireTime)),
    oldest: counted.map(([first]) => first?.seq ?? Number.POSITIVE_INFINITY),
  };
}

function sorted(counts: ReadonlyMap<string, number>): [string, number][] {
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}
