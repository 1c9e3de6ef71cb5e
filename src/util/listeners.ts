/** A set of listeners. One that throws harms neither the others nor the caller: its error becomes a process warning. */
export class Listeners<T> {
  /** Wraps each function in an object, so that one function can be added twice. */
  readonly #entries = new Set<{ readonly call: (value: T) => void }>();

  /** Adds a listener, which is called with every value until the returned function is called. */
  add(call: (value: T) => void): () => void {
    const entry = { call };
    this.#entries.add(entry);
    return () => {
      this.#entries.delete(entry);
    };
  }

  /** Calls every listener with a value. Never throws: an error is a bug of the listener, and becomes a warning. */
  call(value: T): void {
    for (const { call } of this.#entries) {
      try {
        call(value);
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error));
      }
    }
  }

  /** Removes every listener. */
  clear(): void {
    this.#entries.clear();
  }
}
