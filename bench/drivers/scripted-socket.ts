import { connect, type Socket } from "node:net";
import type { Group, Peer } from "./group.ts";
import { Marks } from "./marks.ts";
import { Opening, type Script } from "./opening.ts";

/** What all sockets of this process read into: a chunk is done with before the next is read. */
const shared = Buffer.alloc(64 * 1024);

/** One stream on a raw socket: says its script, then counts. */
export class ScriptedSocket implements Peer {
  readonly #socket: Socket;
  readonly #marks: Marks;
  readonly #alive: Buffer | undefined;
  readonly ready: Promise<void>;

  /** `alive`: what the protocol lets a client send unasked. */
  constructor(port: number, { hello, steps }: Script, group: Group, alive?: Buffer) {
    const marks = new Marks(group);
    const take = (length: number): boolean => {
      const chunk = shared.subarray(0, length);
      marks.take(chunk);
      if (!opening.done) opening.take(chunk);
      return true;
    };
    const socket = connect({ port, host: "127.0.0.1", onread: { buffer: shared, callback: take } });
    const opening = new Opening(steps, (data) => socket.write(data));
    const end = (reason: string): void => {
      if (opening.done) group.fail(reason);
      else opening.fail(reason);
    };
    socket.on("error", ({ message }) => end(message));
    socket.on("close", () => end("the server closed a connection"));
    socket.setNoDelay(true);
    socket.write(hello);
    this.#socket = socket;
    this.#marks = marks;
    this.#alive = alive;
    this.ready = opening.ready;
  }

  get counts(): readonly number[] {
    return [this.#marks.count];
  }

  sayAlive(): void {
    if (this.#alive) this.#socket.write(this.#alive);
  }

  pause(on: boolean): void {
    if (on) this.#socket.pause();
    else this.#socket.resume();
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }
}
