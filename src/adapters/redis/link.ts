import { type Cluster, Redis } from "ioredis";
import { connectRedis } from "./connect.ts";

/** How long a connection that was given up rests, in ms. */
const reviveMs = 100;

/** What an adapter hears of its link. */
export interface LinkListener {
  /** A message on one of the channels. */
  message(channel: string, bytes: Buffer): void;
  /** Commands can be sent, and the channels are heard. */
  up(): void;
  /** They cannot, or are not; called once for each time that the link was up. */
  down(): void;
}

/** Two connections, for a subscribed one takes no other commands; both are kept for ever. */
export class RedisLink {
  readonly commands: Redis | Cluster;
  readonly #subscriber: Redis | Cluster;
  readonly #channels: readonly string[];
  readonly #listener: LinkListener;
  #subscribed = false;
  #isUp = false;
  #closed = false;
  #error = "";

  /** Throws a TypeError for a URL of an unknown form. */
  constructor(url: string, channels: readonly string[], listener: LinkListener) {
    this.#channels = channels;
    this.#listener = listener;
    this.commands = connectRedis(url);
    this.#subscriber = connectRedis(url);
    for (const connection of [this.commands, this.#subscriber]) {
      connection.on("error", (error: Error) => (this.#error = error.message));
      connection.on("close", () => this.#broken(connection));
      connection.on("end", () => {
        this.#broken(connection);
        this.#revive(connection);
      });
    }
    this.commands.on("ready", () => this.#check());
    this.#subscriber.on("ready", () => void this.#subscribe());
    this.#subscriber.on("messageBuffer", (channel: Buffer, bytes: Buffer) => listener.message(String(channel), bytes));
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** What the last failure was, for a log. */
  get error(): string {
    return this.#error;
  }

  /** Sends the commands that `work` gives with one write, and none later than without; to a Cluster each by itself. */
  together(work: () => void): void {
    const stream = this.commands instanceof Redis ? this.commands.stream : undefined;
    stream?.cork();
    try {
      work();
    } finally {
      stream?.uncork();
    }
  }

  /** Connects anew, where a connection is open and nothing comes any more. */
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
      // One that refuses, such as for want of rights, is asked again.
      if (!this.#closed && this.#subscriber.status === "ready") this.#subscriber.disconnect(true);
    }
  }

  #broken(connection: Redis | Cluster): void {
    if (connection === this.#subscriber) this.#subscribed = false;
    if (!this.#isUp) return;
    this.#isUp = false;
    if (!this.#closed) this.#listener.down();
  }

  /** ioredis gives a connection up for ever when it hears of Sentinel's failover while it connects. */
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
