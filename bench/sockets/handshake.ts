/** Searches the received text. Returns the offset behind the match, or -1 when there is none. */
export type Pattern = (text: string) => number;

/** A pattern that matches this text. */
export function textPattern(text: string): Pattern {
  return (received) => {
    const at = received.indexOf(text);
    return at < 0 ? -1 : at + text.length;
  };
}

/** What a client sends and expects until its stream is subscribed. */
export interface HandshakeScript {
  /** Sent at once. */
  readonly first: Buffer;
  /** Steps in order: the response to wait for, and the bytes to send after it. */
  readonly steps: readonly { readonly expect: Pattern; readonly send?: Buffer }[];
}

/** How much text is kept for a pattern that two chunks split. Longer than any pattern. */
const overlap = 32;

/** Runs a handshake on the bytes that arrive. */
export class Handshake {
  readonly #steps: HandshakeScript["steps"];
  readonly #send: (data: Buffer) => void;
  #step = 0;
  #recent = "";
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};
  /** Resolves when the last step has matched. */
  readonly ready: Promise<void>;

  constructor(steps: HandshakeScript["steps"], send: (data: Buffer) => void) {
    this.#steps = steps;
    this.#send = send;
    this.ready = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // A caller that waits for several handshakes in order may not be listening yet when this one fails.
    this.ready.catch(() => {});
  }

  /** All steps have matched. */
  get done(): boolean {
    return this.#step >= this.#steps.length;
  }

  /** Takes the bytes that have arrived. */
  take(chunk: Buffer): void {
    this.#recent = this.#recent.slice(-overlap) + chunk.toString("latin1");
    for (let step = this.#steps[this.#step]; step; step = this.#steps[this.#step]) {
      const end = step.expect(this.#recent);
      if (end < 0) return;
      this.#recent = this.#recent.slice(end);
      this.#step++;
      if (step.send) this.#send(step.send);
    }
    this.#recent = "";
    this.#resolve();
  }

  /** Rejects `ready`, with the reason and the last bytes, which often explain it. */
  fail(reason: string): void {
    this.#reject(new Error(this.#recent === "" ? reason : `${reason} after ${JSON.stringify(this.#recent)}`));
  }
}
