/** Messages and selections for tests of stores, with a default for everything. */
import { randomUUID } from "node:crypto";
import {
  type Append,
  type AppendResult,
  type Entry,
  type FeedKey,
  type Selection,
  type Store,
  unbounded,
} from "../ports/store.ts";

/** A time long after the epoch, so that tests can count from it in both directions. */
export const start = 1_800_000_000_000;
/** The expire time of a message that never expires. */
export const never = Number.POSITIVE_INFINITY;
/** A seq above every seq. */
export const endless = unbounded;

/** Returns the UTF-8 bytes of a text. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Returns a notification for one user of the tenant, with a new id. */
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

/** Returns `count` messages; `each` returns the properties of the one at an index that differ from the defaults. */
export function messages(
  tenant: string,
  count: number,
  each: (index: number) => Partial<Append> = () => ({}),
): Append[] {
  return Array.from({ length: count }, (_, index) => message(tenant, each(index)));
}

/** Returns the feed of a user. */
export function userFeed(tenant: string, user = "ann"): FeedKey {
  return { tenant, name: `user/${user}` };
}

/** Returns a selection of everything live in a feed, oldest first, with bodies. */
export function selection(feed: FeedKey, overrides: Partial<Selection> = {}): Selection {
  return {
    feed,
    ranges: [[1, unbounded]],
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

/** Appends one message. Resolves with its first seq. */
export async function appendOne(store: Store, append: Append): Promise<number> {
  const [appended] = await store.append([append]);
  return stored(appended).seqs[0] ?? 0;
}

/** Reads all entries of a feed, page by page. */
export async function readAll(store: Store, feed: FeedKey, now = start, limit = 100): Promise<Entry[]> {
  const entries: Entry[] = [];
  let after = 0;
  for (;;) {
    const slice = await store.read(feed, after, unbounded, limit, now);
    entries.push(...slice.entries);
    if (slice.through >= slice.bounds.seq) return entries;
    if (slice.through <= after) throw new Error(`a page after ${after} did not advance`);
    after = slice.through;
  }
}

/** Returns the numbers from `from` to `count`. */
export function upTo(count: number, from = 1): number[] {
  return Array.from({ length: Math.max(0, count - from + 1) }, (_, index) => from + index);
}
