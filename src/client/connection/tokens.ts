/** Asks the caller's token function: once at a time, and again only when a token was refused. */

/**
 * Gives a JWT. Called for the first connection and whenever a token was refused, then with `refresh: true`: answer with a
 * new one. May throw or reject: the client tries again later.
 */
export type TokenSource = (request: { readonly refresh: boolean }) => string | Promise<string>;

/** The token in use. */
export class Tokens {
  readonly #source: TokenSource;
  #token: string | undefined;
  #refresh = false;
  #asking: Promise<string> | undefined;

  constructor(source: TokenSource) {
    this.#source = source;
  }

  /** The token in use, or a new one. Concurrent callers share one question. */
  get(): Promise<string> {
    if (this.#token !== undefined) return Promise.resolve(this.#token);
    if (this.#asking !== undefined) return this.#asking;
    const asking: Promise<string> = this.#ask()
      .then((token) => {
        if (this.#asking === asking) this.#token = token;
        return token;
      })
      .finally(() => {
        if (this.#asking === asking) this.#asking = undefined;
      });
    this.#asking = asking;
    return asking;
  }

  /** The server refused this token; harmless if another has taken its place already. */
  refuse(token: string): void {
    if (token !== this.#token) return;
    this.#token = undefined;
    this.#refresh = true;
  }

  /** Gives up on a question that is not answered, so that the next get() asks again. */
  abandon(): void {
    this.#asking = undefined;
  }

  async #ask(): Promise<string> {
    const token = await this.#source({ refresh: this.#refresh });
    if (typeof token !== "string" || token === "") throw new TypeError("the token function must give a JWT");
    return token;
  }
}
