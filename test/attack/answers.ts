/** The answers of a server, counted. */

/** One kind of answer. */
export interface AnswerCount {
  readonly count: number;
  /** The shortest and longest delay of those answers that say when to retry, in ms. */
  readonly retryMs?: readonly [least: number, most: number];
}

/** Counts of answers by their kind: a reason, an HTTP status, or words for what happened to a connection. */
export type AnswerCounts = Readonly<Record<string, AnswerCount>>;

/**
 * Collects answers. Those with a retry delay are counted apart from those without, as `REASON, retry`, so that an attack
 * can require the delay.
 */
export class Answers {
  readonly #counts = new Map<string, { count: number; retryMs?: [number, number] }>();

  /** Counts an answer. */
  add(kind: string, retryMs?: number): void {
    const key = retryMs === undefined ? kind : `${kind}, retry`;
    const entry = this.#counts.get(key) ?? { count: 0 };
    entry.count++;
    if (retryMs !== undefined) {
      const [least, most] = entry.retryMs ?? [retryMs, retryMs];
      entry.retryMs = [Math.min(least, retryMs), Math.max(most, retryMs)];
    }
    this.#counts.set(key, entry);
  }

  /** The counts so far. */
  get counts(): AnswerCounts {
    return Object.fromEntries(this.#counts);
  }
}
