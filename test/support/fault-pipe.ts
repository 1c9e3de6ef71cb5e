/** One direction of a connection through a proxy. */
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** The faults of a proxy. Every direction of every connection reads them for each chunk. */
export interface Faults {
  /** Holds bytes back until it settles; `undefined` while bytes pass. */
  gate: Promise<void> | undefined;
  /** The delay of each byte, in ms. */
  delayMs: number;
  /** The limit of each direction of each connection; Infinity for none. */
  bytesPerSecond: number;
}

/** Replaces a chunk. Each connection has a filter of its own. */
export type Filter = (chunk: Buffer) => Buffer;

/** Bytes that wait for one slow reader; beyond them the sender is paused, as by a full socket. */
const maxWaiting = 1024 * 1024;
/** A throttled chunk is sent in parts of at most a tenth of a second. */
const partsPerSecond = 10;

interface Waiting {
  /** The bytes; `undefined` for the end. */
  readonly chunk: Buffer | undefined;
  readonly due: number;
}

/** Carries the bytes and the end of `from` to `to`. */
export class FaultPipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #faults: Faults;
  readonly #waiting: Waiting[] = [];
  #bytes = 0;
  #running = false;

  constructor(from: Socket, to: Socket, faults: Faults, filter?: Filter) {
    this.#from = from;
    this.#to = to;
    this.#faults = faults;
    from.on("data", (chunk) => this.#take(filter ? filter(chunk) : chunk));
    from.on("end", () => this.#take(undefined));
  }

  #take(chunk: Buffer | undefined): void {
    this.#waiting.push({ chunk, due: performance.now() + this.#faults.delayMs });
    this.#bytes += chunk?.length ?? 0;
    if (this.#bytes > maxWaiting) this.#from.pause();
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      while (this.#faults.gate) await this.#faults.gate;
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
      const { bytesPerSecond } = this.#faults;
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
