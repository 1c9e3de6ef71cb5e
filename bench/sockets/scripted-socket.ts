import { connect, type Socket } from "node:net";
import type { Connection, Group } from "./group.ts";
import { Handshake, type HandshakeScript } from "./handshake.ts";
import { MessageCounter } from "./message-counter.ts";

/** One read buffer for all sockets of this process: a chunk is processed before the next one is read. */
const shared = Buffer.alloc(64 * 1024);

/** A raw socket with one stream. It runs its handshake, then counts messages. */
export class ScriptedSocket implements Connection {
  readonly #socket: Socket;
  readonly #counter: MessageCounter;
  readonly #keepAlive: Buffer | undefined;
  readonly ready: Promise<void>;
  bytes = 0;

  /** `keepAlive`: the unsolicited pong of the protocol, if it has one. */
  constructor(port: number, { first, steps }: HandshakeScript, group: Group, keepAlive?: Buffer) {
    const counter = new MessageCounter(group);
    const take = (length: number): boolean => {
      const chunk = shared.subarray(0, length);
      this.bytes += length;
      counter.take(chunk);
      if (!handshake.done) handshake.take(chunk);
      return true;
    };
    const socket = connect({ port, host: "127.0.0.1", onread: { buffer: shared, callback: take } });
    const handshake = new Handshake(steps, (data) => socket.write(data));
    const end = (reason: string): void => {
      if (handshake.done) group.fail(reason);
      else handshake.fail(reason);
    };
    socket.on("error", ({ message }) => end(message));
    socket.on("close", () => end("the server closed a connection"));
    socket.setNoDelay(true);
    socket.write(first);
    this.#socket = socket;
    this.#counter = counter;
    this.#keepAlive = keepAlive;
    this.ready = handshake.ready;
  }

  get counts(): readonly number[] {
    return [this.#counter.count];
  }

  keepAlive(): void {
    if (this.#keepAlive) this.#socket.write(this.#keepAlive);
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
