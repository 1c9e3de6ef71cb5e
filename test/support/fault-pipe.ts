/** One direction of a connection through a proxy. */
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** What is done to bytes on their way; every direction of every connection looks at it each time. */
export interface Weather {
  /** Settles when bytes may go on; undefined while nothing holds them. */
  gate: Promise<void> | undefined;
  /** Each byte is so late, in ms. */
  delayMs: number;
  /** Of each direction of each connection; Infinity for no limit. */
  bytesPerSecond: number;
}

/** Changes what passes; made anew for each connection. Answers what goes on instead. */
export type Filter = (chunk: Buffer) => Buffer;

/** Waiting for one slow reader, at most; beyond it the sender is held back, as by a full socket. */
const maxWaiting = 1024 * 1024;
/** A throttled chunk goes in parts of at most a tenth of a second. */
const partsPerSecond = 10;

interface Waiting {
  /** Undefined: the end. */
  readonly chunk: Buffer | undefined;
  readonly due: number;
}

/** Carries what `from` sends, its end included, to `to`. */
export class FaultPipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #weather: Weather;
  readonly #waiting: Waiting[] = [];
  #bytes = 0;
  #running = false;

  constructor(from: Socket, to: Socket, weather: Weather, filter?: Filter) {
    this.#from = from;
    this.#to = to;
    this.#weather = weather;
    from.on("data", (chunk) => this.#take(filter ? filter(chunk) : chunk));
    from.on("end", () => this.#take(undefined));
  }

  #take(chunk: Buffer | undefined): void {
    this.#waiting.push({ chunk, due: performance.now() + this.#weather.delayMs });
    this.#bytes += chunk?.length ?? 0;
    if (this.#bytes > maxWaiting) this.#from.pause();
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      while (this.#weather.gate) await this.#weather.gate;
      const early = next.due - performance.now();
      if (early > 0) await sleep(early);
      if (this.#to.destroyed) break;
      if (next.chunk) await this.#send(next.chunk);
      else this.#to.end();
    }
    this.#running = false;
  }

  async #send(chunk: Buffer): Promise<void> {
    for (let rest = chunk; rest.length > 0; ) {
      const { bytesPerSecond } = this.#weather;
      const part = rest.subarray(0, Math.max(1, bytesPerSecond / partsPerSecond));
      rest = rest.subarray(part.length);
      if (Number.isFinite(bytesPerSecond)) await sleep((part.length / bytesPerSecond) * 1000);
      if (!this.#to.write(part)) await drained(this.#to);
    }
    this.#bytes -= chunk.length;
    if (this.#bytes <= maxWaiting && this.#from.isPaused()) this.#from.resume();
  }
}

function drained(socket: Socket): Promise<void> {
  if (socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
  });
}
