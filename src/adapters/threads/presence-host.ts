import type { MessagePort } from "node:worker_threads";
import type { Connection, Membership, OnlineTotals, PresenceChange } from "../../ports/presence.ts";
import { MemoryPresence } from "../memory/presence.ts";
import { MemoryRooms } from "../memory/rooms.ts";
import type { PresenceCall, PresenceMessage } from "./link.ts";

/** The least time between two messages about changed counts to a thread that did not change them, in ms. */
const announceMs = 100;

/** A connection of a thread that is online or in a room. */
interface Open {
  readonly connection: Connection;
  isOnline: boolean;
  readonly rooms: Set<string>;
}

interface Thread {
  readonly port: MessagePort;
  /** By id. */
  readonly open: Map<string, Open>;
  /** Tenants whose counts have changed, and of which the thread has not heard yet. */
  readonly changedTenants: Set<string>;
}

/**
 * The truth about presence, for all event-loop threads of a process: it makes their calls, one after the other, on a presence
 * in its own memory. A thread that ends takes its connections out of every count and room.
 */
export class PresenceHost {
  readonly #online = new MemoryPresence();
  readonly #rooms = new MemoryRooms();
  readonly #threads = new Map<number, Thread>();
  /** By connection, its thread. */
  readonly #owners = new Map<string, Thread>();
  /** The thread whose call is being made. */
  #caller: Thread | undefined;
  /** What the present calls have changed for the threads that hear of it at once. */
  readonly #changes = new Map<Thread, PresenceChange[]>();
  #announceTimer: NodeJS.Timeout | undefined;

  constructor() {
    this.#online.watch((change) => change.type === "count" && this.#countChanged(change));
  }

  /** Answers the calls of a thread, which come in at `port`. */
  connect(id: number, port: MessagePort): void {
    const thread: Thread = { port, open: new Map(), changedTenants: new Set() };
    this.#threads.set(id, thread);
    port.on("message", (calls: readonly PresenceCall[]) => this.#serve(thread, calls));
    port.on("close", () => this.disconnect(id));
    port.unref();
  }

  /** Takes the connections of a thread out of every count and room, and forgets it. */
  disconnect(id: number): void {
    const thread = this.#threads.get(id);
    if (!thread) return;
    this.#threads.delete(id);
    this.#leaveAll(thread);
    thread.port.close();
    this.#postChanges();
  }

  close(): void {
    for (const id of this.#threads.keys()) this.disconnect(id);
    clearTimeout(this.#announceTimer);
  }

  async #serve(thread: Thread, calls: readonly PresenceCall[]): Promise<void> {
    this.#caller = thread;
    const running = calls.map((call) => this.#call(thread, call));
    this.#caller = undefined;
    const changes = this.#changes.get(thread) ?? [];
    this.#changes.delete(thread);
    this.#postChanges();
    const answers = await Promise.all(running);
    thread.port.postMessage({ changes, answers } satisfies PresenceMessage);
  }

  /** Makes a call. Its effect is there when this returns; the promise is for the value alone. */
  async #call(thread: Thread, [id, method, args]: PresenceCall): Promise<readonly [id: number, value: unknown]> {
    switch (method) {
      case "enter":
        return [id, await this.#enter(thread, args[0] as Connection)];
      case "join":
        return [id, this.#join(thread, args[0] as Membership)];
      case "leave":
        return [id, await this.#leave(thread, args[0] as Connection, args[1] as string | undefined)];
      case "count":
        return [id, await this.#count(args[0] as string | undefined, args[1] as string | undefined)];
      case "connections":
        return [id, await this.#online.connections(args[0] as string, args[1] as readonly string[])];
      case "close":
        return [id, this.#leaveAll(thread)];
    }
  }

  #enter(thread: Thread, connection: Connection): Promise<void> {
    this.#openOf(thread, connection).isOnline = true;
    return this.#online.enter(connection);
  }

  #join(thread: Thread, membership: Membership): boolean {
    const kicked = this.#rooms.join(membership);
    if (kicked) this.#openOf(thread, membership.connection).rooms.add(membership.room);
    for (const { connection, room } of kicked ?? []) this.#kicked(connection, room);
    return kicked !== undefined;
  }

  #leave(thread: Thread, connection: Connection, room?: string): Promise<void> {
    this.#forget(thread, connection, room);
    if (room === undefined) this.#rooms.leaveAll(connection);
    else this.#rooms.leave(connection, room);
    return room === undefined ? this.#online.leave(connection) : Promise.resolve();
  }

  #count(tenant: string | undefined, room: string | undefined): Promise<OnlineTotals> {
    if (tenant === undefined || room === undefined) return this.#online.count(tenant);
    return Promise.resolve(this.#rooms.count(tenant, room));
  }

  #openOf(thread: Thread, connection: Connection): Open {
    const known = thread.open.get(connection.id);
    if (known) return known;
    const open: Open = { connection, isOnline: false, rooms: new Set() };
    thread.open.set(connection.id, open);
    this.#owners.set(connection.id, thread);
    return open;
  }

  #forget(thread: Thread, { id, tenant, user }: Connection, room: string | undefined): void {
    const open = thread.open.get(id);
    if (open?.connection.tenant !== tenant || open.connection.user !== user) return;
    if (room === undefined) open.isOnline = false;
    if (room === undefined) open.rooms.clear();
    else open.rooms.delete(room);
    if (open.isOnline || open.rooms.size > 0) return;
    thread.open.delete(id);
    if (this.#owners.get(id) === thread) this.#owners.delete(id);
  }

  #leaveAll(thread: Thread): void {
    for (const { connection } of [...thread.open.values()]) void this.#leave(thread, connection);
  }

  #kicked(connection: Connection, room: string): void {
    const owner = this.#owners.get(connection.id);
    if (!owner) return;
    this.#forget(owner, connection, room);
    this.#note(owner, { type: "kicked", connection: connection.id, room });
  }

  #countChanged(change: Extract<PresenceChange, { readonly type: "count" }>): void {
    for (const thread of this.#threads.values()) {
      if (thread === this.#caller) this.#note(thread, change);
      else thread.changedTenants.add(change.tenant);
    }
    this.#announceTimer ??= setTimeout(() => this.#announce(), announceMs).unref();
  }

  #note(thread: Thread, change: PresenceChange): void {
    const changes = this.#changes.get(thread);
    if (changes) changes.push(change);
    else this.#changes.set(thread, [change]);
  }

  #postChanges(): void {
    for (const [{ port }, changes] of this.#changes)
      port.postMessage({ changes, answers: [] } satisfies PresenceMessage);
    this.#changes.clear();
  }

  #announce(): void {
    this.#announceTimer = undefined;
    for (const { port, changedTenants } of this.#threads.values()) {
      if (changedTenants.size === 0) continue;
      const changes = [...changedTenants].map((tenant): PresenceChange => ({ type: "count", tenant }));
      changedTenants.clear();
      port.postMessage({ changes, answers: [] } satisfies PresenceMessage);
    }
  }
}
