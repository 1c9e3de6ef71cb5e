import type { NotificationCount, SeqRanges, Store } from "../ports/store.ts";

/** What Store.countNotifications counts. */
type Counted = Parameters<Store["countNotifications"]>[0];

/** Counts that retention may spoil before the last one is taken as it is; the next change of the inbox counts anew. */
const maxAttempts = 3;

/**
 * Counts notifications as `Store.countNotifications` does, to the end: a store counts a large inbox in parts, so that other
 * calls are served in between. Each feed is counted exactly at its own bounds, those of the part with its newest messages.
 */
export async function countNotifications(store: Store, feeds: Counted, now: number): Promise<NotificationCount> {
  for (let attempt = 1; ; attempt++) {
    let count = await store.countNotifications(feeds, now);
    let isWhole = true;
    for (let left = remaining(feeds, count); left.length > 0; left = remaining(feeds, count)) {
      const part = await store.countNotifications(left, now);
      const positions = left.map(({ index }) => index);
      isWhole &&= positions.every((index, i) => (part.bounds[i]?.tail ?? 1) <= (count.oldest[index] ?? 0));
      count = merge(count, part, positions);
    }
    // Retention has deleted what was counted in an earlier part.
    if (isWhole || attempt === maxAttempts) return count;
  }
}

/** The feeds that are not counted to the end, with the ranges that are left and their indexes among all feeds. */
function remaining(feeds: Counted, { rest }: NotificationCount) {
  return feeds.flatMap(({ feed }, index) => {
    const ranges = rest?.[index] ?? [];
    return ranges.length > 0 ? [{ feed, ranges, index }] : [];
  });
}

/** Adds the next part of some feeds to a count. */
function merge(count: NotificationCount, part: NotificationCount, positions: readonly number[]): NotificationCount {
  const byCategory = new Map(count.byCategory);
  for (const [category, counted] of part.byCategory)
    byCategory.set(category, (byCategory.get(category) ?? 0) + counted);
  const oldest = [...count.oldest];
  const bounds = [...count.bounds];
  const rest: SeqRanges[] = count.oldest.map(() => []);
  for (const [i, index] of positions.entries()) {
    oldest[index] = Math.min(oldest[index] as number, part.oldest[i] as number);
    rest[index] = part.rest?.[i] ?? [];
    const top = count.rest?.[index]?.at(-1)?.[1] ?? 0;
    // Nothing of the feed was counted yet, so the count begins with this part.
    const now = part.bounds[i];
    if (now && top > (bounds[index]?.seq ?? 0)) bounds[index] = now;
  }
  return { byCategory, nextExpiry: Math.min(count.nextExpiry, part.nextExpiry), oldest, bounds, rest };
}
