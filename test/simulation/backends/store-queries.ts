/** The reading methods of port Store, on the documents of one member, in the simplest possible way. */
import type {
  Entry,
  FeedBounds,
  FeedKey,
  FeedSlice,
  MessageLocation,
  NotificationCount,
  Selection,
  SeqRanges,
} from "../../../src/ports/store.ts";
import { type Doc, type Documents, type FeedDocs, feedId } from "./documents.ts";

const notification = 1;

/** FeedLog.bounds of one feed, of which `keep` messages are kept. */
export function bounds(documents: Documents, feed: FeedKey, keep: number): FeedBounds {
  const docs = documents.feed(feedId(feed));
  return { epoch: 1, seq: docs.last, tail: tailOf(docs, keep) };
}

/** The oldest seq that retention has kept, by age and by count. */
export function tailOf(docs: FeedDocs, keep: number): number {
  return Math.max(docs.tail, docs.last - keep + 1);
}

/** FeedLog.read. */
export function read(
  documents: Documents,
  { feed, after, upTo, limit, now, keep }: ReadQuery & { readonly keep: number },
): FeedSlice {
  const range = bounds(documents, feed, keep);
  const last = Math.min(upTo, range.seq);
  const entries = visible(documents, feed, keep)
    .filter(({ seq, append }) => seq > after && seq <= last && append.expireTime > now)
    .slice(0, limit)
    .map(toEntry);
  const full = entries.length === limit;
  return { bounds: range, entries, through: full ? (entries.at(-1)?.seq ?? after) : Math.max(last, after) };
}

/** The arguments of FeedLog.read. */
export interface ReadQuery {
  readonly feed: FeedKey;
  readonly after: number;
  readonly upTo: number;
  readonly limit: number;
  readonly now: number;
}

/** InboxIndex.select. */
export function select(documents: Documents, selection: Selection, keep: number): Entry[] {
  const found = visible(documents, selection.feed, keep).filter(
    ({ seq, append }) =>
      within(selection.ranges, seq) &&
      append.expireTime <= selection.now === selection.expired &&
      (selection.kinds.length === 0 || selection.kinds.includes(append.kind)) &&
      (selection.categories.length === 0 || selection.categories.includes(append.category)) &&
      append.publishTime >= selection.startTime &&
      append.publishTime < selection.endTime,
  );
  return (selection.order === "newest" ? found.reverse() : found).slice(0, selection.limit).map(toEntry);
}

/** InboxIndex.countNotifications. */
export function countNotifications(
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
  return { byCategory, nextExpiry, oldest, bounds: feeds.map(({ feed }) => bounds(documents, feed, keep)) };
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

/** Those of these documents that reuse the seq of a trimmed message: below the tail, but newer than a later document. */
export function orphans(docs: FeedDocs, seqs: readonly number[], keep: number): number[] {
  const tail = tailOf(docs, keep);
  return seqs.filter((seq) => {
    const time = docs.bySeq.get(seq)?.time ?? 0;
    return seq < tail && docs.docs(seq + 1).some((later) => later.time < time);
  });
}

/** The documents of a feed that readers can see, oldest first. */
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
