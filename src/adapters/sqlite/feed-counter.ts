import type { FeedBounds, SeqRanges } from "../../ports/store.ts";
import type { Database } from "./database.ts";
import { toTime } from "./database.ts";
import type { Tallies, Tally } from "./tallies.ts";

/** The largest part of a block that may be missing from the counted ranges for its tally to be used; it is subtracted. */
const maxMissing = 1 / 8;
/** The costs of reading a tally, besides its categories, and of reading a slot that is subtracted from it, in slots. */
const tallyCost = 4;
const missingCost = 4;

/** A complete block of which most or all seqs are counted. */
interface Block {
  readonly block: number;
  /** The counted seqs of the block. */
  readonly ranges: SeqRanges;
  /** Its other seqs. */
  readonly missing: SeqRanges;
}

/** A notification in a slot that a range leaves out. */
type Missing = readonly [seq: number, category: string, expireTime: number | null];

/** Notifications of one feed, added up. */
export class FeedCount {
  readonly byCategory = new Map<string, number>();
  nextExpiry = Number.POSITIVE_INFINITY;
  oldest = Number.POSITIVE_INFINITY;

  /** Adds notifications of one category; a negative count subtracts. */
  add(category: string, count: number): void {
    this.byCategory.set(category, (this.byCategory.get(category) ?? 0) + count);
  }

  /** Lowers the oldest seq and the next expiry to these, if they come first. */
  reach(oldest: number | null, expireTime: number | null): void {
    this.nextExpiry = Math.min(this.nextExpiry, toTime(expireTime));
    this.oldest = Math.min(this.oldest, oldest ?? Number.POSITIVE_INFINITY);
  }
}

/**
 * Counts the notifications in ranges of a feed. A complete block is counted by its tally, less the seqs that the ranges leave
 * out of it; slots are read only where the ranges leave out many, at the ends of the feed, and in blocks whose tally says
 * too little, such as after the first of their messages has expired.
 */
export class FeedCounter {
  readonly #db: Database;
  readonly #tallies: Tallies;

  constructor(db: Database, tallies: Tallies) {
    this.#db = db;
    this.#tallies = tallies;
  }

  /** Adds the notifications in ascending ranges between the bounds of a feed to `count`. Returns the cost, in slots. */
  count(feed: number, ranges: SeqRanges, bounds: FeedBounds, now: number, count: FeedCount): number {
    const { blocks, slots } = split(ranges, bounds, this.#tallies.blockSize);
    let cost = 0;
    if (blocks.length > 0) {
      const numbers = blocks.map(({ block }) => block);
      const tallies = this.#tallies.read(feed, numbers);
      const missing = this.#missingIn(feed, blocks, tallies);
      for (const { block, ranges, missing: left } of blocks) {
        const tally = tallies.get(block);
        const without = missing.get(block) ?? [];
        if (tally) cost += tallyCost + tally.categories.length / 2 + missingCost * lengthOf(left);
        if (tally && toTime(tally.expireTime) > now && !without.some((each) => isFirst(each, tally))) {
          addTally(count, tally, without);
        } else slots.push(...ranges);
      }
    }
    // Oldest first, as the categories of a feed get their names.
    slots.sort(([a], [b]) => a - b);
    if (slots.length > 0) this.#countSlots(feed, slots, now, count);
    return Math.ceil(cost) + lengthOf(slots);
  }

  /** The notifications that are left out of blocks with a tally, by block. */
  #missingIn(
    feed: number,
    blocks: readonly Block[],
    tallies: ReadonlyMap<number, Tally>,
  ): ReadonlyMap<number, readonly Missing[]> {
    const ranges = blocks.flatMap(({ block, missing }) => (tallies.has(block) ? missing : []));
    if (ranges.length === 0) return new Map();
    const { json } = this.#db
      .sql(
        `SELECT json_group_array(json_array(e.seq, e.category, e.expire_time)) AS json
         FROM json_each(?) r CROSS JOIN entries e
         WHERE e.feed = ? AND e.seq BETWEEN r.value ->> 0 AND r.value ->> 1 AND e.kind = 1`,
      )
      .get(JSON.stringify(ranges), feed) as { json: string };
    const { blockSize } = this.#tallies;
    return Map.groupBy(JSON.parse(json) as Missing[], ([seq]) => Math.floor((seq - 1) / blockSize));
  }

  #countSlots(feed: number, ranges: SeqRanges, now: number, count: FeedCount): void {
    // Count by category here: GROUP BY makes SQLite sort all rows first, which takes three times as long.
    const row = this.#db
      .sql(
        `SELECT json_group_array(e.category) AS categories, min(e.expire_time) AS expire_time, min(e.seq) AS oldest
         FROM json_each(?) r CROSS JOIN entries e
         WHERE e.feed = ? AND e.seq BETWEEN r.value ->> 0 AND r.value ->> 1
           AND e.kind = 1 AND (e.expire_time IS NULL OR e.expire_time > ?)`,
      )
      .get(JSON.stringify(ranges), feed, now) as {
      categories: string;
      expire_time: number | null;
      oldest: number | null;
    };
    for (const category of JSON.parse(row.categories) as string[]) count.add(category, 1);
    count.reach(row.oldest, row.expire_time);
  }
}

/** Whether a message is the oldest of a tally, or expires first: without it, the tally does not say which one is next. */
function isFirst([seq, , expireTime]: Missing, tally: Tally): boolean {
  return seq === tally.oldest || (expireTime !== null && expireTime === tally.expireTime);
}

function addTally(count: FeedCount, { oldest, expireTime, categories }: Tally, missing: readonly Missing[]): void {
  for (let index = 0; index < categories.length; index += 2) {
    count.add(categories[index] as string, categories[index + 1] as number);
  }
  for (const [, category] of missing) count.add(category, -1);
  count.reach(oldest, expireTime);
}

/** Splits ascending ranges into blocks that are counted by their tallies, and slots that are read. */
function split(ranges: SeqRanges, { tail, seq: last }: FeedBounds, size: number) {
  const blocks: Block[] = [];
  const slots: (readonly [number, number])[] = [];
  let block = -1;
  let inBlock: (readonly [number, number])[] = [];
  const close = () => {
    const [first, end] = [block * size + 1, (block + 1) * size];
    const missing = end > last || first < tail ? size : size - lengthOf(inBlock);
    if (missing <= size * maxMissing)
      blocks.push({ block, ranges: inBlock, missing: gapsBetween(inBlock, first, end) });
    else slots.push(...inBlock);
    inBlock = [];
  };
  for (const [low, high] of ranges) {
    for (let from = low; from <= high; ) {
      const next = Math.floor((from - 1) / size);
      if (next !== block && inBlock.length > 0) close();
      block = next;
      const to = Math.min(high, (block + 1) * size);
      inBlock.push([from, to]);
      from = to + 1;
    }
  }
  if (inBlock.length > 0) close();
  return { blocks, slots };
}

/** The runs of seqs from `first` through `last` that lie between ascending ranges. */
function gapsBetween(ranges: SeqRanges, first: number, last: number): SeqRanges {
  const gaps: [number, number][] = [];
  let next = first;
  for (const [from, to] of ranges) {
    if (next < from) gaps.push([next, from - 1]);
    next = to + 1;
  }
  if (next <= last) gaps.push([next, last]);
  return gaps;
}

/** The number of seqs in ranges. */
function lengthOf(ranges: SeqRanges): number {
  let length = 0;
  for (const [from, to] of ranges) length += to - from + 1;
  return length;
}
