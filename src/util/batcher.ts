/** Collects what one turn of the event loop asks for by key, and asks for all of it at once. */
export class Batcher<V> {
  readonly #ask: (keys: readonly string[]) => Promise<ReadonlyMap<string, V>>;
  readonly #most: number;
  #asked = new Map<string, PromiseWithResolvers<V | undefined>>();

  /** `ask` answers what it finds of the keys, of which it gets `most` at a time; when it rejects, each of these does. */
  constructor(most: number, ask: (keys: readonly string[]) => Promise<ReadonlyMap<string, V>>) {
    this.#most = most;
    this.#ask = ask;
  }

  /** What is there under a key, read after this call; undefined for nothing. */
  get(key: string): Promise<V | undefined> {
    if (this.#asked.size === 0) setImmediate(() => this.#depart());
    const asked = this.#asked.get(key) ?? Promise.withResolvers<V | undefined>();
    this.#asked.set(key, asked);
    return asked.promise;
  }

  #depart(): void {
    const asked = [...this.#asked];
    this.#asked = new Map();
    for (let first = 0; first < asked.length; first += this.#most)
      void this.#fetch(asked.slice(first, first + this.#most));
  }

  async #fetch(asked: readonly (readonly [string, PromiseWithResolvers<V | undefined>])[]): Promise<void> {
    try {
      const found = await this.#ask(asked.map(([key]) => key));
      for (const [key, { resolve }] of asked) resolve(found.get(key));
    } catch (error) {
      for (const [, { reject }] of asked) reject(error);
    }
  }
}
