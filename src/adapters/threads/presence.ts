import type { MessagePort } from "node:worker_threads";
import { fail } from "../../errors.ts";
import type { Connection, Membership, OnlineTotals, Presence, PresenceChange } from "../../ports/presence.ts";
import { Listeners } from "../../util/listeners.ts";
import type { PresenceCall, PresenceMessage, PresenceMethod, ThreadLink } from "./link.ts";
import { OnlineCountsReader } from "./online-counts.ts";

/**
 * Port Presence in an event-loop thread. The host (presence-host.ts) decides for all threads, in the order in which their calls
 * arrive. The calls of one event-loop tick are one message. Every publish asks for counts, so these are read from memory that
 * the host shares.
 */
export class ThreadPresence implements Presence {
  readonly #port: MessagePort;
  readonly #listeners = new Listeners<PresenceChange>();
  /** The connections of this thread that are online, by id. */
  readonly #online = new Map<string, Connection>();
  readonly #pending = new Map<number, (value: unknown) => void>();
  /** Undefined until the host has sent the table. */
  #counts: OnlineCountsReader | undefined;
  /** The number of calls in flight that may change the counts. */
  #changing = 0;
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
    await this.#change("enter", connection);
  }

  async join(membership: Membership): Promise<boolean> {
    const joined = (await this.#change("join", membership)) as boolean | undefined;
    if (joined !== undefined) return joined;
    throw fail("ROOMS_UNAVAILABLE", "the members of the room are not known at the moment; try again", {
      retryAfterMs: 1000,
    });
  }

  async leave(connection: Connection, room?: string): Promise<void> {
    const { id, tenant, user } = connection;
    const own = this.#online.get(id);
    if (room === undefined && own?.tenant === tenant && own.user === user) this.#online.delete(id);
    await this.#change("leave", connection, room);
  }

  async count(tenant: string | undefined, room?: string): Promise<OnlineTotals> {
    const known = this.#current?.count({ tenant, room });
    if (known) return known;
    const totals = (await this.#ask("count", tenant, room)) as OnlineTotals | undefined;
    return totals ?? { users: 0, connections: 0, asOf: Date.now() };
  }

  async connections(tenant: string, users: readonly string[]): Promise<readonly number[]> {
    const counts = this.#current;
    const known = counts ? users.flatMap((user) => counts.countUser({ tenant }, user) ?? []) : [];
    if (known.length === users.length) return known;
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

  /** The shared counts; undefined while they lack calls of this thread, so that the host has to be asked. */
  get #current(): OnlineCountsReader | undefined {
    return this.#changing === 0 ? this.#counts : undefined;
  }

  async #change(method: PresenceMethod, ...args: unknown[]): Promise<unknown> {
    this.#changing++;
    try {
      return await this.#ask(method, ...args);
    } finally {
      this.#changing--;
    }
  }

  /** Resolves to undefined when the host cannot be asked: after `close`, and when the process ends. */
  #ask(method: PresenceMethod, ...args: unknown[]): Promise<unknown> {
    if (this.#hasEnded) return Promise.resolve(undefined);
    const id = this.#nextId++;
    if (this.#outbox.push([id, method, args]) === 1) setImmediate(() => this.#flush());
    // Without it, a thread that only waits for the answer would end.
    if (this.#pending.size === 0) this.#port.ref();
    return new Promise((resolve) => this.#pending.set(id, resolve));
  }

  #flush(): void {
    if (this.#outbox.length === 0) return;
    this.#port.postMessage(this.#outbox);
    this.#outbox = [];
  }

  #take({ counts, changes, answers }: PresenceMessage): void {
    if (counts) this.#counts = new OnlineCountsReader(counts);
    for (const change of changes) this.#listeners.call(change);
    for (const [id, value] of answers) {
      this.#pending.get(id)?.(value);
      this.#pending.delete(id);
    }
    if (this.#pending.size === 0) this.#port.unref();
  }

  #end(): void {
    this.#hasEnded = true;
    for (const resolve of this.#pending.values()) resolve(undefined);
    this.#pending.clear();
  }
}
