/** Runs at most a fixed number of tasks at once; further tasks wait in the order of their calls. */
export class ConcurrencyLimit {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** `limit`: the most tasks that run at once, at least 1. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The number of tasks that are running. */
  get running(): number {
    return this.#running;
  }

  /** The number of tasks that wait for one to end. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Runs a task as soon as fewer than the limit are running. Settles as the task does. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    // A task that ends hands its slot to the next one in the queue, so that no newcomer overtakes it.
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

/** Runs a task per item, at most `limit` at once. Resolves in the order of the items; rejects with the first error. */
export function mapLimited<T, R>(limit: number, items: readonly T[], task: (item: T) => Promise<R>): Promise<R[]> {
  const slots = new ConcurrencyLimit(limit);
  return Promise.all(items.map((item) => slots.run(() => task(item))));
}
