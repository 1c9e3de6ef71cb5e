/** Lets a bounded number of tasks run at once; the others wait in the order of their calls. */
export class ConcurrencyLimit {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** `limit`: tasks at once, at least 1. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Tasks that are running. */
  get running(): number {
    return this.#running;
  }

  /** Tasks that wait for others to end. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Runs a task as soon as fewer than `limit` others are running. Settles as the task does. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    // A task that ends hands its slot to the next one, so that no newcomer overtakes the queue.
    if (this.#running >= this.#limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}

/** Runs a task for each item, at most `limit` at once. Answers in the order of the items; rejects with the first error. */
export function mapLimited<T, R>(limit: number, items: readonly T[], task: (item: T) => Promise<R>): Promise<R[]> {
  const slots = new ConcurrencyLimit(limit);
  return Promise.all(items.map((item) => slots.run(() => task(item))));
}
