import type { Frame } from "./frame.ts";

/** The writing end of a transport, for the frames of one stream. */
export interface Sink {
  /** Writes frames, which are at least one, at once. Returns false when no more may follow before `drained`. */
  write(frames: readonly Frame[]): boolean;
  /** Bytes that the transport has not sent yet. */
  readonly queued: number;
  /** Resolves when more may follow, or the transport is gone. Call it only after `write` has returned false. */
  drained(): Promise<void>;
}

/**
 * A sink for transports that ask for the next batch: it holds one batch, and is full until that is taken. With a following
 * sink, only the first frame is read here, and all others are written there.
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

  /** Yields the batches that `run` writes, and ends as `run` ends; calls `stop` when the reader goes away before. */
  async *read(run: (sink: Sink) => Promise<never>, stop: () => void): AsyncGenerator<readonly Frame[]> {
    const ended = run(this);
    // Handled below, after the batches that were written before the end.
    ended.catch(() => {});
    try {
      for (;;) {
        if (this.#batch === undefined) await Promise.race([ended, this.#nextBatch()]);
        const batch = this.#batch as readonly Frame[];
        yield this.#following ? batch.slice(0, 1) : batch;
        this.#batch = undefined;
        this.#next = this.#following;
        const rest = this.#next ? batch.slice(1) : [];
        if (rest.length > 0 && !this.#next?.write(rest)) await this.#next?.drained();
        this.#taken();
        if (this.#next) await ended;
      }
    } finally {
      stop();
      this.#taken();
    }
  }

  #nextBatch(): Promise<void> {
    return new Promise((resolve) => (this.#written = resolve));
  }
}
