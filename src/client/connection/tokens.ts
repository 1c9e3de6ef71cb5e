/** The token in use, from the caller's token function: single-flight, and asked again only after a refusal. */

/**
 * Returns a JWT. The client calls it for the first connection, and with `refresh: true` after a token was refused; then
 * it must return a new one. If it throws or rejects, the client tries again later.
 */
export type TokenSource = (request: { readonly refresh: boolean }) => string | Promise<string>;

/** The token that the stream and the calls share. */
export class Tokens {
  readonly #source: TokenSource;
  /** The token that #request resolved with. */
  #token: string | undefined;
  #refresh = false;
  /** The call of the token function, kept until its token is refused; undefined before the first and after a failure. */
  #request: Promise<string> | undefined;

  constructor(source: TokenSource) {
    this.#source = source;
  }

  /** The token in use, or a new one. Concurrent callers share one call of the token function. */
  get(): Promise<string> {
    if (this.#request) return this.#request;
    const request = this.#fetch();
    this.#request = request;
    request.then(
      (token) => {
        if (this.#request === request) this.#token = token;
      },
      () => {
        if (this.#request === request) this.abandon();
      },
    );
    return request;
  }

  /** Drops a token that the server refused; does nothing if another has replaced it already. */
  refuse(token: string): void {
    if (token !== this.#token) return;
    this.abandon();
    this.#refresh = true;
  }

  /** Stops waiting for a token function that does not answer, so that the next get() calls it again. */
  abandon(): void {
    this.#request = undefined;
    this.#token = undefined;
  }

  async #fetch(): Promise<string> {
    const token = await this.#source({ refresh: this.#refresh });
    if (!token || typeof token !== "string") throw new TypeError("the token function must return a JWT");
    return token;
  }
}
