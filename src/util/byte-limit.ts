/** Lets work begin while its bytes, and those of the work before it, stay within a limit; other work waits in order. */
export class ByteLimit {
  readonly #limit: number;
  readonly #waiting: { readonly bytes: number; readonly begin: () => void }[] = [];
  #used = 0;

  /** `limit`: the most bytes, except that work of more bytes runs alone. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The bytes of the work that has begun. */
  get used(): number {
    return this.#used;
  }

  /** Calls `begin` when there is room for its bytes, which may be at once. They stay in use until `free`. */
  enter(bytes: number, begin: () => void): void {
    if (this.#waiting.length > 0 || !this.#fits(bytes)) {
      this.#waiting.push({ bytes, begin });
      return;
    }
    this.#used += bytes;
    begin();
  }

  /** Gives bytes back, or takes `-bytes` more without waiting. */
  free(bytes: number): void {
    this.#used -= bytes;
    for (let next = this.#waiting[0]; next && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#used += next.bytes;
      next.begin();
    }
  }

  #fits(bytes: number): boolean {
    return this.#used <= 0 || this.#used + bytes <= this.#limit;
  }
}
