/** Looks for something in what came: where it ends, or -1. */
export type Sight = (text: string) => number;

/** Looks for this text. */
export function sightOf(text: string): Sight {
  return (recent) => {
    const at = recent.indexOf(text);
    return at < 0 ? -1 : at + text.length;
  };
}

/** What a stream says and waits for until it is subscribed. */
export interface Script {
  /** Said at once. */
  readonly hello: Buffer;
  /** One after another: what to wait for, and what to say then. */
  readonly steps: readonly { readonly see: Sight; readonly say?: Buffer }[];
}

/** No pattern is longer, but for what the parts of one answer are. */
const overlap = 32;

/** Follows a script through the bytes that come. */
export class Opening {
  readonly #steps: Script["steps"];
  readonly #say: (data: Buffer) => void;
  #step = 0;
  #recent = "";
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};
  readonly ready: Promise<void>;

  constructor(steps: Script["steps"], say: (data: Buffer) => void) {
    this.#steps = steps;
    this.#say = say;
    this.ready = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Others of the same group may fail before anyone waits for this one.
    this.ready.catch(() => {});
  }

  get done(): boolean {
    return this.#step >= this.#steps.length;
  }

  take(chunk: Buffer): void {
    this.#recent = this.#recent.slice(-overlap) + chunk.toString("latin1");
    for (let step = this.#steps[this.#step]; step; step = this.#steps[this.#step]) {
      const end = step.see(this.#recent);
      if (end < 0) return;
      this.#recent = this.#recent.slice(end);
      this.#step++;
      if (step.say) this.#say(step.say);
    }
    this.#recent = "";
    this.#resolve();
  }

  /** The stream has ended; what came last says why. */
  fail(reason: string): void {
    this.#reject(new Error(this.#recent === "" ? reason : `${reason} after ${JSON.stringify(this.#recent)}`));
  }
}
