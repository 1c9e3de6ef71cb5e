/** Limits of an LruCache. */
export interface LruLimits<V> {
  /** The most entries it holds; default: no limit. */
  readonly entries?: number;
  /** The most that all entries cost together, in the unit of `costOf`; default: no limit. */
  readonly cost?: number;
  /** What one entry costs; default: 1. */
  readonly costOf?: (value: V) => number;
}

/**
 * A cache that evicts the least recently used entry when it is full. A full cache that forgets everything at once would
 * send every caller to the store in the same moment.
 */
export class LruCache<K, V> {
  readonly #maxEntries: number;
  readonly #maxCost: number;
  readonly #costOf: (value: V) => number;
  /** Insertion order is the order of use: a used entry is moved to the end. */
  readonly #entries = new Map<K, V>();
  #cost = 0;

  constructor({ entries = Number.POSITIVE_INFINITY, cost = Number.POSITIVE_INFINITY, costOf = () => 1 }: LruLimits<V>) {
    this.#maxEntries = entries;
    this.#maxCost = cost;
    this.#costOf = costOf;
  }

  /** How many entries it holds. */
  get size(): number {
    return this.#entries.size;
  }

  /** What its entries cost together. */
  get cost(): number {
    return this.#cost;
  }

  /** The value of a key, which counts as used now. */
  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  /** The value of a key, which does not count as used. */
  peek(key: K): V | undefined {
    return this.#entries.get(key);
  }

  /** The value of a key, made and kept where there is none; it counts as used now. */
  getOrCreate(key: K, create: () => V): V {
    const known = this.get(key);
    if (known !== undefined) return known;
    const created = create();
    this.set(key, created);
    return created;
  }

  /** Sets a value, which counts as used now, and evicts what no longer fits; a value above the cost limit is not kept. */
  set(key: K, value: V): void {
    this.delete(key);
    this.#entries.set(key, value);
    this.#cost += this.#costOf(value);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#maxEntries && this.#cost <= this.#maxCost) return;
      this.delete(oldest);
    }
  }

  /** Forgets a key. Reports whether it was there. */
  delete(key: K): boolean {
    const value = this.#entries.get(key);
    if (value === undefined) return false;
    this.#cost -= this.#costOf(value);
    return this.#entries.delete(key);
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear();
    this.#cost = 0;
  }

  /** All values, the least recently used first. */
  values(): IterableIterator<V> {
    return this.#entries.values();
  }
}
