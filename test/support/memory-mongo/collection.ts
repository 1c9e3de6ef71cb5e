import { bySort, type Document, matcher } from "./documents.ts";

/** A document has the unique key of another one. */
export class DuplicateKey extends Error {
  readonly keyPattern: Document;

  constructor(name: string, fields: readonly string[]) {
    super(`E11000 duplicate key error index: ${name}`);
    this.keyPattern = Object.fromEntries(fields.map((field) => [field, 1]));
  }
}

/** The fields of the index of deduplication keys. */
const onceFields = ["f", "c"];

interface Unique {
  readonly name: string;
  readonly fields: readonly string[];
  readonly owners: Map<string, Document>;
}

/**
 * The documents of one collection, found by `_id`, by feed and number, by feed and deduplication key, or by message;
 * else by a scan.
 */
export class Collection {
  readonly #uniques: Unique[] = [{ name: "_id_", fields: ["_id"], owners: new Map() }];
  /** Documents by `f`, in the order of `s`. */
  readonly #feeds = new Map<unknown, Document[]>();
  readonly #messages = new Map<unknown, Set<Document>>();

  /** Keeps the values of some fields unique from now on. Other indexes would change nothing here. */
  addUnique(name: string, fields: readonly string[]): void {
    if (this.#uniques.some((unique) => unique.name === name)) return;
    const owners = new Map([...this.#all()].map((document) => [keyOf(document, fields), document]));
    this.#uniques.push({ name, fields, owners });
  }

  /** Inserts a document. Throws DuplicateKey. */
  insert(document: Document): void {
    for (const { name, fields, owners } of this.#uniques) {
      if (owners.has(keyOf(document, fields))) throw new DuplicateKey(name, fields);
    }
    for (const { fields, owners } of this.#uniques) owners.set(keyOf(document, fields), document);
    const feed = this.#feeds.get(document.f) ?? [];
    this.#feeds.set(document.f, feed);
    feed.splice(indexIn(feed, document.s as number), 0, document);
    if (document.m !== undefined) {
      this.#messages.set(document.m, (this.#messages.get(document.m) ?? new Set()).add(document));
    }
  }

  /** Removes a document of this collection. */
  remove(document: Document): void {
    for (const { fields, owners } of this.#uniques) owners.delete(keyOf(document, fields));
    const feed = this.#feeds.get(document.f) ?? [];
    feed.splice(feed.indexOf(document), 1);
    if (feed.length === 0) this.#feeds.delete(document.f);
    const message = this.#messages.get(document.m);
    message?.delete(document);
    if (message?.size === 0) this.#messages.delete(document.m);
  }

  /** Replaces a document of this collection. Throws DuplicateKey, and then changes nothing. */
  replace(document: Document, by: Document): void {
    this.remove(document);
    try {
      this.insert(by);
    } catch (error) {
      this.insert(document);
      throw error;
    }
  }

  /** The documents that match a filter, in the order of `sort`; at most `limit`, 0 for all. */
  find(filter: Document, sort: Document = {}, limit = 0): Document[] {
    const matches = matcher(filter);
    const descending = sort.s === -1 && Object.keys(sort).length === 1;
    const candidates = this.#candidates(filter);
    const found: Document[] = [];
    const most = limit > 0 && (descending || Object.keys(sort).length === 0) ? limit : Number.POSITIVE_INFINITY;
    // A feed lies in the order of its numbers, so that its last document is found without the others.
    for (let index = 0; index < candidates.length && found.length < most; index++) {
      const document = candidates[descending ? candidates.length - 1 - index : index] as Document;
      if (matches(document)) found.push(document);
    }
    if (Object.keys(sort).length > 0) found.sort(bySort(sort));
    return limit > 0 ? found.slice(0, limit) : found;
  }

  #candidates({ _id: id, f, s, m, c, $or }: Document): readonly Document[] {
    if (typeof id === "string" || typeof id === "number") {
      const owner = this.#uniques[0]?.owners.get(keyOf({ _id: id }, ["_id"]));
      return owner ? [owner] : [];
    }
    const ids = (id as { $in?: string[] } | undefined)?.$in;
    if (ids) return ids.flatMap((value) => this.#candidates({ _id: value }));
    const once = this.#uniques.find(({ fields }) => fields.join() === onceFields.join());
    if (once && f !== undefined && c !== undefined) {
      const keys = listOf(f).flatMap((feed) => listOf(c).map((name) => keyOf({ f: feed, c: name }, onceFields)));
      return keys.map((key) => once.owners.get(key)).filter((document) => document !== undefined);
    }
    if (m !== undefined) return listOf(m).flatMap((value) => [...(this.#messages.get(value) ?? [])]);
    if (typeof f === "string") return within(this.#feeds.get(f) ?? [], s);
    // Only one feed is in the order of its numbers: queries of several feeds sort by more, or not at all.
    const feeds = (f as { $in?: string[] } | undefined)?.$in;
    if (feeds) return feeds.flatMap((value) => this.#feeds.get(value) ?? []);
    if ($or !== undefined) return [...new Set(($or as Document[]).flatMap((part) => this.find(part)))];
    return [...this.#all()];
  }

  *#all(): Iterable<Document> {
    for (const feed of this.#feeds.values()) yield* feed;
  }
}

function keyOf(document: Document, fields: readonly string[]): string {
  return JSON.stringify(fields.map((field) => document[field] ?? null));
}

/** The values of an equality, or of `$in`. */
function listOf(condition: unknown): readonly unknown[] {
  return (condition as { $in?: unknown[] } | null)?.$in ?? [condition];
}

/** The first index whose number is not lower. */
function indexIn(feed: readonly Document[], seq: number): number {
  let [low, high] = [0, feed.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((feed[middle]?.s as number) < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

function within(feed: readonly Document[], s: unknown): readonly Document[] {
  if (typeof s === "number") return feed.slice(indexIn(feed, s), indexIn(feed, s + 1));
  const { $gte: from, $lte: to } = (s ?? {}) as { $gte?: number; $lte?: number };
  return feed.slice(
    from === undefined ? 0 : indexIn(feed, from),
    to === undefined ? feed.length : indexIn(feed, to + 1),
  );
}
