import type { Frame } from "../wire/frame.ts";
import type { Sink } from "../wire/sink.ts";
import type { Timers } from "./timers.ts";

/** The writing end of one stream: a sink, and the stream's deadlines told of what goes into it. */
export class Writer {
  readonly #deadlines: Timers;
  #sink: Sink | undefined;

  constructor(deadlines: Timers) {
    this.#deadlines = deadlines;
  }

  /** From now on frames go there; before, nothing may be written. */
  open(sink: Sink): void {
    this.#sink = sink;
  }

  /** Bytes that wait in the transport. */
  get queued(): number {
    return this.#sink?.queued ?? 0;
  }

  /** The reader takes nothing for now. */
  get full(): boolean {
    return this.#deadlines.waiting;
  }

  /** Writes frames, never none; answers false when no more may follow before `drained`. */
  write(batch: readonly Frame[]): boolean {
    const more = (this.#sink as Sink).write(batch);
    if (more) this.#deadlines.sent();
    else this.#deadlines.sending();
    return more;
  }

  /** Writes frames, and waits until more may follow. */
  async send(batch: readonly Frame[]): Promise<void> {
    if (!this.write(batch)) await this.drained();
  }

  /** Settles when more may follow. */
  async drained(): Promise<void> {
    await (this.#sink as Sink).drained();
    this.#deadlines.sent();
  }
}
