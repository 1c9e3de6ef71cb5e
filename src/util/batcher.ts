/** Fetches the values of a batch of keys, all of one group. A key without a value is absent from the result. */
export type FetchBatch<V> = (keys: readonly string[], group: string) => Promise<ReadonlyMap<string, V>>;

/**
 * Collects the keys requested within one event-loop tick and fetches them together, so that a thousand streams that
 * open at once cost the store one query. A key requested twice in a tick is fetched once.
 */
export class Batcher<V> {
  readonly #fetch: FetchBatch<V>;
  readonly #maxKeys: number;
  #groups = new Map<string, Map<string, PromiseWithResolvers<V | undefined>>>();

  /** `fetch` gets at most `maxKeys` keys of one group. When it rejects, so does each of those keys, and no other. */
  constructor(maxKeys: number, fetch: FetchBatch<V>) {
    this.#maxKeys = maxKeys;
    this.#fetch = fetch;
  }

  /** Returns the value of a key, read after this call, or undefined. Different groups are never fetched together. */
  get(key: string, group = ""): Promise<V | undefined> {
    if (this.#groups.size === 0) setImmediate(() => this.#flush());
    const keys = this.#groups.get(group) ?? new Map<string, PromiseWithResolvers<V | undefined>>();
    this.#groups.set(group, keys);
    const result = keys.get(key) ?? Promise.withResolvers<V | undefined>();
    keys.set(key, result);
    return result.promise;
  }

  #flush(): void {
    const groups = this.#groups;
    this.#groups = new Map();
    for (const [group, keys] of groups) {
      const entries = [...keys];
      for (let first = 0; first < entries.length; first += this.#maxKeys)
        void this.#settle(group, entries.slice(first, first + this.#maxKeys));
    }
  }

  async #settle(group: string, entries: readonly (readonly [string, PromiseWithResolvers<V | undefined>])[]) {
    try {
      const found = await this.#fetch(
        entries.map(([key]) => key),
        group,
      );
      for (const [key, { resolve }] of entries) resolve(found.get(key));
    } catch (error) {
      for (const [, { reject }] of entries) reject(error);
    }
  }
}
