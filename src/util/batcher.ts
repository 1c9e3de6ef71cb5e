/** Answers a batch of keys of one group by key; a key without a value is left out. */
export type AskBatch<V> = (keys: readonly string[], group: string) => Promise<ReadonlyMap<string, V>>;

/**
 * Collects the keys that are asked for in one event-loop tick, and asks for all of them at once: a thousand streams that
 * open together cost the store one question. A key that several callers ask for in one tick is asked for once.
 */
export class Batcher<V> {
  readonly #ask: AskBatch<V>;
  readonly #maxKeys: number;
  #groups = new Map<string, Map<string, PromiseWithResolvers<V | undefined>>>();

  /** `ask` gets at most `maxKeys` keys of one group at a time; when it rejects, so does each of these keys. */
  constructor(maxKeys: number, ask: AskBatch<V>) {
    this.#maxKeys = maxKeys;
    this.#ask = ask;
  }

  /** The value of a key, read after this call; undefined for none. Keys of different groups never share a question. */
  get(key: string, group = ""): Promise<V | undefined> {
    if (this.#groups.size === 0) setImmediate(() => this.#flush());
    const keys = this.#groups.get(group) ?? new Map<string, PromiseWithResolvers<V | undefined>>();
    this.#groups.set(group, keys);
    const answer = keys.get(key) ?? Promise.withResolvers<V | undefined>();
    keys.set(key, answer);
    return answer.promise;
  }

  #flush(): void {
    const groups = this.#groups;
    this.#groups = new Map();
    for (const [group, asked] of groups) {
      const entries = [...asked];
      for (let first = 0; first < entries.length; first += this.#maxKeys)
        void this.#fetch(group, entries.slice(first, first + this.#maxKeys));
    }
  }

  async #fetch(group: string, asked: readonly (readonly [string, PromiseWithResolvers<V | undefined>])[]) {
    try {
      const found = await this.#ask(
        asked.map(([key]) => key),
        group,
      );
      for (const [key, { resolve }] of asked) resolve(found.get(key));
    } catch (error) {
      for (const [, { reject }] of asked) reject(error);
    }
  }
}
