import type { Frame } from "./frame.ts";

/** Where a stream's frames go: the writing end of a transport. */
export interface Sink {
  /** Takes frames as one write, never none; answers false when it wants no more before `drained`. */
  write(frames: readonly Frame[]): boolean;
  /** Bytes that wait in the transport. */
  readonly queued: number;
  /** Settles when it takes more, or is gone; asked for only after `write` answered false. */
  drained(): Promise<void>;
}

/**
 * A sink that is read, for transports that ask for what comes next: it holds one batch, and is full until that is taken.
 * With a sink to follow, only the first batch is read, and all others are written there.
 */
export class BatchSink implements Sink {
  readonly #following: Sink | undefined;
  #next: Sink | undefined;
  #batch: readonly Frame[] | undefined;
  #taken: () => void = () => {};
  #written: () => void = () => {};

  constructor(following?: Sink) {
    this.#following = following;
  }

  write(frames: readonly Frame[]): boolean {
    if (this.#next) return this.#next.write(frames);
    this.#batch = frames;
    this.#written();
    return false;
  }

  get queued(): number {
    return this.#next?.queued ?? 0;
  }

  drained(): Promise<void> {
    if (this.#next) return this.#next.drained();
    return new Promise((resolve) => (this.#taken = resolve));
  }

  /** Batches as `run` writes them; ends as it ends, and calls `stop` when the reader goes away before. */
  async *read(run: (sink: Sink) => Promise<never>, stop: () => void): AsyncGenerator<readonly Frame[]> {
    const ended = run(this);
    // Told below, after the batches before the end.
    ended.catch(() => {});
    try {
      for (;;) {
        if (this.#batch === undefined) await Promise.race([ended, this.#arrival()]);
        const batch = this.#batch as readonly Frame[];
        yield batch;
        this.#batch = undefined;
        this.#next = this.#following;
        this.#taken();
        if (this.#next) await ended;
      }
    } finally {
      stop();
      this.#taken();
    }
  }

  #arrival(): Promise<void> {
    return new Promise((resolve) => (this.#written = resolve));
  }
}
