/** Questions of port Store, answered from the documents of one member in the plainest way. */
import type {
  Entry,
  FeedBounds,
  FeedKey,
  FeedSlice,
  MessageLocation,
  NotificationCount,
  Selection,
  SeqRanges,
} from "../../src/ports/store.ts";
import { type Doc, type Documents, type FeedDocs, feedId } from "./documents.ts";

const notification = 1;

/** Where a feed begins and ends, of which so many messages are kept. */
export function headOf(documents: Documents, feed: FeedKey, keep: number): FeedBounds {
  const docs = documents.feed(feedId(feed));
  return { epoch: 1, seq: docs.last, tail: tailOf(docs, keep) };
}

/** The oldest seq that retention has kept, by age or by count. */
export function tailOf(docs: FeedDocs, keep: number): number {
  return Math.max(docs.tail, docs.last - keep + 1);
}

/** FeedLog.read. */
export function read(
  documents: Documents,
  { feed, after, upTo, limit, now, keep }: StretchQuestion & { readonly keep: number },
): FeedSlice {
  const head = headOf(documents, feed, keep);
  const last = Math.min(upTo, head.seq);
  const entries = visible(documents, feed, keep)
    .filter(({ seq, append }) => seq > after && seq <= last && append.expireTime > now)
    .slice(0, limit)
    .map(toEntry);
  const full = entries.length === limit;
  return { bounds: head, entries, through: full ? (entries.at(-1)?.seq ?? after) : Math.max(last, after) };
}

/** The arguments of FeedLog.read. */
export interface StretchQuestion {
  readonly feed: FeedKey;
  readonly after: number;
  readonly upTo: number;
  readonly limit: number;
  readonly now: number;
}

/** InboxIndex.select. */
export function select(documents: Documents, asked: Selection, keep: number): Entry[] {
  const found = visible(documents, asked.feed, keep).filter(
    ({ seq, append }) =>
      within(asked.ranges, seq) &&
      append.expireTime <= asked.now === asked.expired &&
      (asked.kinds.length === 0 || asked.kinds.includes(append.kind)) &&
      (asked.categories.length === 0 || asked.categories.includes(append.category)) &&
      append.publishTime >= asked.startTime &&
      append.publishTime < asked.endTime,
  );
  return (asked.order === "newest" ? found.reverse() : found).slice(0, asked.limit).map(toEntry);
}

/** InboxIndex.tally. */
export function tally(
  documents: Documents,
  feeds: readonly { readonly feed: FeedKey; readonly ranges: SeqRanges }[],
  now: number,
  keep: number,
): NotificationCount {
  const byCategory = new Map<string, number>();
  let nextExpiry = Number.POSITIVE_INFINITY;
  const oldest = feeds.map(({ feed, ranges }) => {
    const counted = visible(documents, feed, keep).filter(
      ({ seq, append }) => append.kind === notification && append.expireTime > now && within(ranges, seq),
    );
    for (const { append } of counted) {
      byCategory.set(append.category, (byCategory.get(append.category) ?? 0) + 1);
      nextExpiry = Math.min(nextExpiry, append.expireTime);
    }
    return counted[0]?.seq ?? Number.POSITIVE_INFINITY;
  });
  return { byCategory, nextExpiry, oldest, bounds: feeds.map(({ feed }) => headOf(documents, feed, keep)) };
}

/** InboxIndex.find. */
export function find(
  documents: Documents,
  feeds: readonly FeedKey[],
  ids: readonly string[],
  keep: number,
): MessageLocation[] {
  return feeds.flatMap((feed) =>
    visible(documents, feed, keep)
      .filter(({ append }) => ids.includes(append.id))
      .map(({ append: { id, kind, category, expireTime }, seq }) => ({ id, feed, seq, kind, category, expireTime })),
  );
}

/** Which places were given before: below the tail, and younger than what follows them. */
export function strays(docs: FeedDocs, seqs: readonly number[], keep: number): number[] {
  const tail = tailOf(docs, keep);
  return seqs.filter((seq) => {
    const time = docs.bySeq.get(seq)?.time ?? 0;
    return seq < tail && docs.docs(seq + 1).some((later) => later.time < time);
  });
}

/** What readers can see of a feed, oldest first. */
export function visible(documents: Documents, feed: FeedKey, keep: number): Doc[] {
  const docs = documents.feed(feedId(feed));
  return docs.docs(tailOf(docs, keep)).filter(({ erased }) => !erased);
}

function toEntry({ append, seq }: Doc): Entry {
  return { ...append, epoch: 1, seq };
}

function within(ranges: SeqRanges, seq: number): boolean {
  return ranges.some(([from, to]) => from <= seq && seq <= to);
}
