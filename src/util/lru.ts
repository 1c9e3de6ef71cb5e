/** The limits of an LruCache. */
export interface LruLimits<K, V> {
  /** The most entries. Default: no limit. */
  readonly entries?: number;
  /** The most that all entries cost together, in the unit of `costOf`. Default: no limit. */
  readonly cost?: number;
  /** Returns the cost of an entry, which must not change while it is cached. Default: 1. */
  readonly costOf?: (value: V, key: K) => number;
}

/**
 * A cache that evicts the least recently used entry when it is full. It never drops everything at once, which would
 * send every caller to the store at the same moment.
 */
export class LruCache<K, V> {
  readonly #maxEntries: number;
  readonly #maxCost: number;
  readonly #costOf: (value: V, key: K) => number;
  /** In the order of use: an entry that is used moves to the end. */
  readonly #entries = new Map<K, V>();
  #cost = 0;

  constructor({
    entries = Number.POSITIVE_INFINITY,
    cost = Number.POSITIVE_INFINITY,
    costOf = () => 1,
  }: LruLimits<K, V>) {
    this.#maxEntries = entries;
    this.#maxCost = cost;
    this.#costOf = costOf;
  }

  /** The number of entries. */
  get size(): number {
    return this.#entries.size;
  }

  /** The cost of all entries together. */
  get cost(): number {
    return this.#cost;
  }

  /** Returns the value of a key and counts it as used. */
  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  /** Returns the value of a key without counting it as used. */
  peek(key: K): V | undefined {
    return this.#entries.get(key);
  }

  /** Returns the value of a key, creating and caching it where there is none, and counts it as used. */
  getOrCreate(key: K, create: () => V): V {
    const known = this.get(key);
    if (known !== undefined) return known;
    const created = create();
    this.set(key, created);
    return created;
  }

  /** Sets a value, counts it as used, and evicts others until the limits hold. One above the cost limit is not kept. */
  set(key: K, value: V): void {
    this.delete(key);
    this.#entries.set(key, value);
    this.#cost += this.#costOf(value, key);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#maxEntries && this.#cost <= this.#maxCost) return;
      this.delete(oldest);
    }
  }

  /** Removes a key. Returns whether it was present. */
  delete(key: K): boolean {
    const value = this.#entries.get(key);
    if (value === undefined) return false;
    this.#cost -= this.#costOf(value, key);
    return this.#entries.delete(key);
  }

  /** Removes every entry. */
  clear(): void {
    this.#entries.clear();
    this.#cost = 0;
  }

  /** Returns all keys with their values, the least recently used first. */
  entries(): IterableIterator<[K, V]> {
    return this.#entries.entries();
  }

  /** Returns all values, the least recently used first. */
  values(): IterableIterator<V> {
    return this.#entries.values();
  }
}
