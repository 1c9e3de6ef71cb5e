/** Listeners of one process, who cannot hurt each other or the caller: one that throws is reported, and the rest are called. */
export class Listeners<T> {
  /** A set of boxes, so that one function may listen twice. */
  readonly #boxes = new Set<{ readonly call: (value: T) => void }>();

  /** Calls for every value until the returned function is called. */
  add(call: (value: T) => void): () => void {
    const box = { call };
    this.#boxes.add(box);
    return () => {
      this.#boxes.delete(box);
    };
  }

  /** Never throws. An error becomes a warning of the process, for it is a bug of the listener. */
  call(value: T): void {
    for (const { call } of this.#boxes) {
      try {
        call(value);
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error));
      }
    }
  }

  /** Calls nobody any more. */
  clear(): void {
    this.#boxes.clear();
  }
}
