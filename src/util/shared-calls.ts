import { ConcurrencyLimit } from "./limit.ts";

/** Calls that callers share: those of one key that are in flight at the same time are one call (single-flight). */
export class SharedCalls<T> {
  readonly #inFlight = new Map<string, Promise<T>>();

  /** The number of calls in flight. */
  get size(): number {
    return this.#inFlight.size;
  }

  /** Joins the call of this key that is in flight, or makes it. The key has to name everything that the result depends on. */
  run(key: string, call: () => Promise<T>): Promise<T> {
    const known = this.#inFlight.get(key);
    if (known) return known;
    const made = call().finally(() => this.#inFlight.delete(key));
    this.#inFlight.set(key, made);
    return made;
  }
}

/** Runs at most a fixed number of tasks of one owner at once, so that no owner keeps others waiting with many. */
export class OwnerLimit {
  readonly #limit: number;
  readonly #owners = new Map<string, ConcurrencyLimit>();

  /** `limit`: the most tasks of one owner that run at once, at least 1. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The number of owners with tasks. */
  get size(): number {
    return this.#owners.size;
  }

  /** Runs a task as soon as fewer than the limit of its owner are running. Settles as the task does. */
  async run<T>(owner: string, task: () => Promise<T>): Promise<T> {
    const tasks = this.#owners.get(owner) ?? new ConcurrencyLimit(this.#limit);
    this.#owners.set(owner, tasks);
    try {
      return await tasks.run(task);
    } finally {
      if (tasks.running === 0) this.#owners.delete(owner);
    }
  }
}
