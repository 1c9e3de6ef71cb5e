/** Messages and selections for tests of stores, with a plain default for every field. */
import { randomUUID } from "node:crypto";
import type { Append, AppendResult, Entry, FeedKey, Selection, Store } from "../../src/ports/store.ts";

/** A time long after the Unix epoch, in ms, so that tests can go back from it as well as forward. */
export const start = 1_800_000_000_000;
/** The expire time of a message that never expires. */
export const never = Number.POSITIVE_INFINITY;
/** A seq above every seq of a feed. */
export const endless = Number.MAX_SAFE_INTEGER;

/** Encodes a text as UTF-8. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Makes a notification with a fresh id in a user's feed of the tenant. */
export function message(tenant: string, overrides: Partial<Append> = {}): Append {
  const id = randomUUID();
  return {
    tenant,
    id,
    feeds: ["user/ann"],
    body: bytes(id),
    key: "",
    digest: "",
    replace: false,
    kind: 1,
    category: "",
    actorId: "",
    objectType: "",
    objectId: "",
    batchId: "",
    publishTime: start,
    expireTime: never,
    ...overrides,
  };
}

/** Makes `count` messages; `each` returns the overrides of the one at an index. */
export function messages(
  tenant: string,
  count: number,
  each: (index: number) => Partial<Append> = () => ({}),
): Append[] {
  return Array.from({ length: count }, (_, index) => message(tenant, each(index)));
}

/** Returns the key of a user's feed. */
export function userFeed(tenant: string, user = "ann"): FeedKey {
  return { tenant, name: `user/${user}` };
}

/** Selects every live entry of a feed, oldest first, with bodies. */
export function selection(feed: FeedKey, overrides: Partial<Selection> = {}): Selection {
  return {
    feed,
    ranges: [[1, endless]],
    kinds: [],
    categories: [],
    actorId: "",
    objectType: "",
    objectId: "",
    batchId: "",
    startTime: Number.NEGATIVE_INFINITY,
    endTime: Number.POSITIVE_INFINITY,
    now: start,
    expired: false,
    order: "oldest",
    bodies: true,
    limit: 1000,
    ...overrides,
  };
}

/** Returns the result of a message that was stored; throws for any other outcome. */
export function stored(appended: AppendResult | undefined): Extract<AppendResult, { outcome: "stored" | "duplicate" }> {
  if (appended?.outcome !== "stored") throw new Error(`expected stored, got ${JSON.stringify(appended)}`);
  return appended;
}

/** Appends one message, and returns its seq in its first feed. */
export async function appendOne(store: Store, append: Append): Promise<number> {
  const [appended] = await store.append([append]);
  return stored(appended).seqs[0] ?? 0;
}

/** Reads all entries of a feed, slice by slice. */
export async function readAll(store: Store, feed: FeedKey, now = start, limit = 100): Promise<Entry[]> {
  const entries: Entry[] = [];
  let after = 0;
  for (;;) {
    const slice = await store.read(feed, after, endless, limit, now);
    entries.push(...slice.entries);
    if (slice.through >= slice.bounds.seq) return entries;
    if (slice.through <= after) throw new Error(`the slice after ${after} made no progress`);
    after = slice.through;
  }
}

/** Returns the numbers from `from` through `count`. */
export function upTo(count: number, from = 1): number[] {
  return Array.from({ length: Math.max(0, count - from + 1) }, (_, index) => from + index);
}
