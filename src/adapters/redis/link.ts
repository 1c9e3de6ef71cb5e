import { type Cluster, Redis } from "ioredis";
import { connectRedis } from "./connect.ts";

/** The pause before a connection that ioredis has given up is made again, in ms. */
const reviveMs = 100;

/** Gets the events of a link. */
export interface LinkListener {
  /** A message has arrived on one of the channels. */
  message(channel: string, bytes: Buffer): void;
  /** Commands can be sent, and the channels are subscribed. */
  up(): void;
  /** The link was up and no longer is. */
  down(): void;
}

/**
 * A link to Redis, which reconnects until it is closed: one connection for commands and one for the subscription, since
 * a subscribed connection takes no other commands.
 */
export class RedisLink {
  readonly commands: Redis | Cluster;
  readonly #subscriber: Redis | Cluster;
  readonly #channels: readonly string[];
  readonly #listener: LinkListener;
  #subscribed = false;
  #isUp = false;
  #closed = false;
  #error = "";

  /** Connects in the background. Throws a TypeError for a URL of an unknown form. */
  constructor(url: string, channels: readonly string[], listener: LinkListener) {
    this.#channels = channels;
    this.#listener = listener;
    this.commands = connectRedis(url);
    this.#subscriber = connectRedis(url);
    for (const connection of [this.commands, this.#subscriber]) {
      connection.on("error", (error: Error) => (this.#error = error.message));
      connection.on("close", () => this.#lost(connection));
      connection.on("end", () => {
        this.#lost(connection);
        this.#revive(connection);
      });
    }
    this.commands.on("ready", () => this.#check());
    this.#subscriber.on("ready", () => void this.#subscribe());
    this.#subscriber.on("messageBuffer", (channel: Buffer, bytes: Buffer) => listener.message(String(channel), bytes));
  }

  /** Whether commands can be sent and the channels are subscribed. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** The message of the last error, for logs; "" before the first. */
  get error(): string {
    return this.#error;
  }

  /** Sends all commands that `work` issues with one write, except to a Cluster. They are sent no later than without. */
  inOneWrite(work: () => void): void {
    const stream = this.commands instanceof Redis ? this.commands.stream : undefined;
    stream?.cork();
    try {
      work();
    } finally {
      stream?.uncork();
    }
  }

  /** Replaces both connections, for when they are open but nothing arrives any more. */
  restart(): void {
    for (const connection of [this.commands, this.#subscriber]) connection.disconnect(true);
  }

  /** Ends both connections at once. */
  close(): void {
    this.#closed = true;
    for (const connection of [this.commands, this.#subscriber]) connection.disconnect();
  }

  async #subscribe(): Promise<void> {
    try {
      await this.#subscriber.subscribe(...this.#channels);
      this.#subscribed = true;
      this.#check();
    } catch (error) {
      this.#error = String(error);
      // A server that refuses, such as for lack of permission, is tried again: an operator may be about to grant it.
      if (!this.#closed && this.#subscriber.status === "ready") this.#subscriber.disconnect(true);
    }
  }

  #lost(connection: Redis | Cluster): void {
    if (connection === this.#subscriber) this.#subscribed = false;
    if (!this.#isUp) return;
    this.#isUp = false;
    if (!this.#closed) this.#listener.down();
  }

  /** Connects again. ioredis gives a connection up for good when Sentinel reports a failover while it connects. */
  #revive(connection: Redis | Cluster): void {
    const again = () => {
      if (!this.#closed && connection.status === "end") connection.connect().catch(() => {});
    };
    setTimeout(again, reviveMs).unref();
  }

  #check(): void {
    if (this.#isUp || this.#closed || !this.#subscribed || this.commands.status !== "ready") return;
    this.#isUp = true;
    this.#listener.up();
  }
}
