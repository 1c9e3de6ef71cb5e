/** Work that waits. */
interface Waiting {
  readonly bytes: number;
  readonly begin: () => void;
}

/** Lets work begin while its bytes, and those of the work before it, stay within a limit; other work waits in order. */
export class ByteLimit {
  readonly #limit: number;
  readonly #waiting = new Set<Waiting>();
  #used = 0;

  /** `limit`: the most bytes, except that work of more bytes runs alone. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The bytes of the work that has begun. */
  get used(): number {
    return this.#used;
  }

  /** Whether no work uses bytes or waits for them. */
  get isIdle(): boolean {
    return this.#used <= 0 && this.#waiting.size === 0;
  }

  /**
   * Calls `begin` when there is room for its bytes, which may be at once. They stay in use until `free`. Returns the function
   * that stops the waiting; it has no effect once the work has begun.
   */
  enter(bytes: number, begin: () => void): () => void {
    const work = { bytes, begin };
    if (this.#waiting.size === 0 && this.#fits(bytes)) {
      this.#used += bytes;
      begin();
    } else this.#waiting.add(work);
    return () => {
      if (this.#waiting.delete(work)) this.free(0);
    };
  }

  /** Gives bytes back, or takes `-bytes` more without waiting. */
  free(bytes: number): void {
    this.#used -= bytes;
    for (const next of this.#waiting) {
      if (!this.#fits(next.bytes)) return;
      this.#waiting.delete(next);
      this.#used += next.bytes;
      next.begin();
    }
  }

  #fits(bytes: number): boolean {
    return this.#used <= 0 || this.#used + bytes <= this.#limit;
  }
}
