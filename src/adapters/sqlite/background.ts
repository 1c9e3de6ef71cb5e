/** Work that the store's thread does between calls. */
export interface BackgroundTask {
  /** The pause after a slice, as a multiple of its length: 1 leaves half of the thread to calls, 4 leaves four fifths. */
  readonly pause: number;
  /** Works for about `budgetMs`, a little longer at most. Returns whether there is more to do. Throws as the database does. */
  slice(budgetMs: number): boolean;
}

/** Gets the outcome of slices. */
export interface BackgroundListener {
  /** Called after every slice. */
  worked(): void;
  /** Called with the error of a slice. The task runs again after a pause. */
  failed(task: BackgroundTask, error: unknown): void;
}

/** The time that a slice may take while there are few calls, in ms. */
const minSliceMs = 8;
/** The time that a slice may take however busy the thread is, in ms. */
const maxSliceMs = 250;
/** How long new work waits, in ms, so that a slice, which needs an fsync of its own, has enough to do. */
const gatherMs = 200;
/** The pause after a slice that failed, as on a full disk, in ms. */
const retryMs = 5_000;

/**
 * Runs tasks in slices, the first one that has work before the others. A slice delays the calls that arrive meanwhile, so
 * it is short, and a pause follows. On a busy thread a slice may take as long as the calls since the last one, or else
 * trimming would fall behind the appends that make it necessary.
 */
export class Background {
  readonly #tasks: readonly BackgroundTask[];
  readonly #listener: BackgroundListener;
  /** When a task that failed may run again, by `performance.now()`. */
  readonly #retryAt = new Map<BackgroundTask, number>();
  #servedMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(tasks: readonly BackgroundTask[], listener: BackgroundListener) {
    this.#tasks = tasks;
    this.#listener = listener;
  }

  /** Runs the tasks in a moment. `servedMs` is how long calls have just kept the thread busy. */
  wake(servedMs = 0): void {
    this.#servedMs += servedMs;
    this.#schedule(gatherMs);
  }

  /** Runs nothing more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #schedule(milliseconds: number): void {
    if (!this.#closed) this.#timer ??= setTimeout(() => this.#run(), milliseconds);
  }

  #run(): void {
    this.#timer = undefined;
    const budgetMs = Math.min(Math.max(this.#servedMs, minSliceMs), maxSliceMs);
    this.#servedMs = 0;
    for (const task of this.#tasks) {
      const start = performance.now();
      if ((this.#retryAt.get(task) ?? 0) > start || !this.#work(task, budgetMs)) continue;
      this.#schedule(task.pause * (performance.now() - start));
      return;
    }
    if (this.#retryAt.size > 0) this.#schedule(Math.max(1, Math.min(...this.#retryAt.values()) - performance.now()));
  }

  /** Runs a slice of a task. Returns whether it has more to do; one that has failed has to wait. */
  #work(task: BackgroundTask, budgetMs: number): boolean {
    this.#retryAt.delete(task);
    try {
      return task.slice(budgetMs);
    } catch (error) {
      this.#retryAt.set(task, performance.now() + retryMs);
      this.#listener.failed(task, error);
      return false;
    } finally {
      this.#listener.worked();
    }
  }
}
