/** How long somebody waits. */
export class Deadline {
  #expired = false;
  readonly #reached: Promise<never>;
  readonly #timer: NodeJS.Timeout;

  /** `describe` tells why, when nothing came in time. */
  constructor(milliseconds: number, describe: () => Error) {
    const { promise, reject } = Promise.withResolvers<never>();
    this.#reached = promise;
    promise.catch(() => {});
    this.#timer = setTimeout(() => {
      this.#expired = true;
      reject(describe());
    }, milliseconds);
  }

  /** For work that has to stop by itself. */
  readonly expired = (): boolean => this.#expired;

  /** The outcome of the work, or a rejection at the deadline. */
  async wait<T>(work: Promise<T>): Promise<T> {
    try {
      return await Promise.race([work, this.#reached]);
    } finally {
      this.end();
    }
  }

  /** Nobody waits any more. */
  end(): void {
    clearTimeout(this.#timer);
    this.#expired = true;
  }
}
