/** Makers of messages and questions for tests of stores: everything has a plain default. */
import { randomUUID } from "node:crypto";
import type { Append, AppendResult, Entry, FeedKey, Selection, Store } from "../../src/ports/store.ts";

/** A time long after the epoch, so that tests can count from it in both directions. */
export const start = 1_800_000_000_000;
/** Never. */
export const never = Number.POSITIVE_INFINITY;
/** Beyond every seq. */
export const endless = Number.MAX_SAFE_INTEGER;

/** Bytes of a text. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A notification to one user's feed of the tenant, with a fresh id. */
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

/** So many messages; `each` tells what is special about the one at an index. */
export function messages(
  tenant: string,
  count: number,
  each: (index: number) => Partial<Append> = () => ({}),
): Append[] {
  return Array.from({ length: count }, (_, index) => message(tenant, each(index)));
}

/** The first user's feed. */
export function userFeed(tenant: string, user = "ann"): FeedKey {
  return { tenant, name: `user/${user}` };
}

/** Everything live in a feed, oldest first, with bodies. */
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

/** What was stored of a message; throws for any other outcome. */
export function stored(appended: AppendResult | undefined): Extract<AppendResult, { outcome: "stored" | "duplicate" }> {
  if (appended?.outcome !== "stored") throw new Error(`expected stored, got ${JSON.stringify(appended)}`);
  return appended;
}

/** Appends one message and answers its first seq. */
export async function appendOne(store: Store, append: Append): Promise<number> {
  const [appended] = await store.append([append]);
  return stored(appended).seqs[0] ?? 0;
}

/** All entries of a feed, page by page. */
export async function readAll(store: Store, feed: FeedKey, now = start, limit = 100): Promise<Entry[]> {
  const entries: Entry[] = [];
  let after = 0;
  for (;;) {
    const stretch = await store.read(feed, after, endless, limit, now);
    entries.push(...stretch.entries);
    if (stretch.through >= stretch.bounds.seq) return entries;
    if (stretch.through <= after) throw new Error(`a page after ${after} did not move on`);
    after = stretch.through;
  }
}

/** 1, 2, 3 … count. */
export function upTo(count: number, from = 1): number[] {
  return Array.from({ length: Math.max(0, count - from + 1) }, (_, index) => from + index);
}
