import type { MessagePort } from "node:worker_threads";
import { fail } from "../../errors.ts";
import type { Connection, Membership, OnlineTotals, Presence, PresenceChange } from "../../ports/presence.ts";
import { Listeners } from "../../util/listeners.ts";
import type { PresenceCall, PresenceMessage, PresenceMethod, ThreadLink } from "./link.ts";

/**
 * Port Presence in an event-loop thread: it asks the host (presence-host.ts), which decides for all threads, in the order in
 * which their calls arrive. The calls of one event-loop tick are one message.
 */
export class ThreadPresence implements Presence {
  readonly #port: MessagePort;
  readonly #listeners = new Listeners<PresenceChange>();
  /** The connections of this thread that are online, by id. */
  readonly #online = new Map<string, Connection>();
  readonly #pending = new Map<number, (value: unknown) => void>();
  #outbox: PresenceCall[] = [];
  #nextId = 1;
  /** The host cannot be asked any more. */
  #hasEnded = false;
  #closing: Promise<void> | undefined;

  constructor({ presence: port }: Pick<ThreadLink, "presence">) {
    this.#port = port;
    port.on("message", (message: PresenceMessage) => this.#take(message));
    port.on("close", () => this.#end());
    port.unref();
  }

  async enter(connection: Connection): Promise<void> {
    if (!this.#closing) this.#online.set(connection.id, connection);
    await this.#ask("enter", connection);
  }

  async join(membership: Membership): Promise<boolean> {
    const joined = (await this.#ask("join", membership)) as boolean | undefined;
    if (joined !== undefined) return joined;
    throw fail("ROOMS_UNAVAILABLE", "the members of the room are not known at the moment; try again", {
      retryAfterMs: 1000,
    });
  }

  async leave(connection: Connection, room?: string): Promise<void> {
    const { id, tenant, user } = connection;
    const own = this.#online.get(id);
    if (room === undefined && own?.tenant === tenant && own.user === user) this.#online.delete(id);
    await this.#ask("leave", connection, room);
  }

  async count(tenant: string | undefined, room?: string): Promise<OnlineTotals> {
    const totals = (await this.#ask("count", tenant, room)) as OnlineTotals | undefined;
    return totals ?? { users: 0, connections: 0, asOf: Date.now() };
  }

  async connections(tenant: string, users: readonly string[]): Promise<readonly number[]> {
    if (users.length === 0) return [];
    const open = (await this.#ask("connections", tenant, users)) as readonly number[] | undefined;
    return open ?? users.map(() => 0);
  }

  get leases(): number {
    return this.#online.size;
  }

  watch(listener: (change: PresenceChange) => void): () => void {
    return this.#listeners.add(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#listeners.clear();
    const closed = this.#ask("close");
    this.#hasEnded = true;
    this.#flush();
    await closed;
    this.#online.clear();
    this.#port.close();
  }

  /** Resolves to undefined when the host cannot be asked: after `close`, and when the process ends. */
  #ask(method: PresenceMethod, ...args: unknown[]): Promise<unknown> {
    if (this.#hasEnded) return Promise.resolve(undefined);
    const id = this.#nextId++;
    if (this.#outbox.push([id, method, args]) === 1) setImmediate(() => this.#flush());
    return new Promise((resolve) => this.#pending.set(id, resolve));
  }

  #flush(): void {
    if (this.#outbox.length === 0) return;
    this.#port.postMessage(this.#outbox);
    this.#outbox = [];
  }

  #take({ changes, answers }: PresenceMessage): void {
    for (const change of changes) this.#listeners.call(change);
    for (const [id, value] of answers) {
      this.#pending.get(id)?.(value);
      this.#pending.delete(id);
    }
  }

  #end(): void {
    this.#hasEnded = true;
    for (const resolve of this.#pending.values()) resolve(undefined);
    this.#pending.clear();
  }
}
