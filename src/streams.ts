import type { Subscription } from "./subscription.ts";

/** The open streams of a node. */
export class Streams {
  readonly #open = new Set<Subscription>();
  #whenEmpty: (() => void)[] = [];

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  add(stream: Subscription): void {
    this.#open.add(stream);
  }

  delete(stream: Subscription): void {
    this.#open.delete(stream);
    if (this.#open.size > 0) return;
    for (const resolve of this.#whenEmpty) resolve();
    this.#whenEmpty = [];
  }

  /** Tells all streams to go; `afterMs` gives each the time after which its client shall return. */
  async drain(afterMs: () => number): Promise<void> {
    if (this.#open.size === 0) return;
    const empty = new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
    for (const stream of this.#open) stream.drain(afterMs(), "the server is going away");
    return empty;
  }

  /** Closes what is still open. */
  close(): void {
    for (const stream of this.#open) stream.close();
  }
}
