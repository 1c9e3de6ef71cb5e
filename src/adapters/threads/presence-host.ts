import type { MessagePort } from "node:worker_threads";
import type { Connection, Membership, PresenceChange } from "../../ports/presence.ts";
import { MemoryRooms } from "../memory/rooms.ts";
import type { PresenceCall, PresenceMessage, PresenceMethod } from "./link.ts";
import { OnlineCountsWriter } from "./online-counts.ts";

/** The least time between two messages to a thread about counts that other threads have changed, in ms. */
const announceMs = 100;

/** A connection of a thread that is online or in a room. */
interface Open {
  readonly connection: Connection;
  isOnline: boolean;
  /** Undefined until it first joins one: most connections are in none. */
  rooms: Set<string> | undefined;
}

interface Thread {
  readonly port: MessagePort;
  /** By id. */
  readonly open: Map<string, Open>;
  /** Tenants whose counts have changed since the last message to the thread about them. */
  readonly changedTenants: Set<string>;
}

/**
 * Presence for all event-loop threads of a process. The host makes their calls one after the other, and keeps the counts in
 * shared memory, where every thread reads them. When a thread ends, its connections leave every count and room.
 */
export class PresenceHost {
  readonly #counts = new OnlineCountsWriter((counts) => {
    for (const { port } of this.#threads.values()) post(port, { counts });
  });
  readonly #rooms = new MemoryRooms();
  readonly #threads = new Map<number, Thread>();
  /** By connection in a room, its thread. */
  readonly #owners = new Map<string, Thread>();
  /** The thread whose call is being made. */
  #caller: Thread | undefined;
  /** The changes that threads are sent with the answers of the calls that are being made. */
  readonly #changes = new Map<Thread, PresenceChange[]>();
  #announceTimer: NodeJS.Timeout | undefined;

  /** Answers the calls of a thread, which come in at `port`. */
  connect(id: number, port: MessagePort): void {
    const thread: Thread = { port, open: new Map(), changedTenants: new Set() };
    this.#threads.set(id, thread);
    port.on("message", (calls: readonly PresenceCall[]) => this.#serve(thread, calls));
    port.on("close", () => this.disconnect(id));
    port.unref();
    post(port, { counts: this.#counts.memory });
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

  #serve(thread: Thread, calls: readonly PresenceCall[]): void {
    this.#caller = thread;
    const answers = calls.map(([id, method, args]) => [id, this.#call(thread, method, args)] as const);
    this.#caller = undefined;
    const changes = this.#changes.get(thread) ?? [];
    this.#changes.delete(thread);
    this.#postChanges();
    post(thread.port, { changes, answers });
  }

  #call(thread: Thread, method: PresenceMethod, args: readonly unknown[]): unknown {
    switch (method) {
      case "enter":
        return this.#enter(thread, args[0] as Connection);
      case "join":
        return this.#join(thread, args[0] as Membership);
      case "leave":
        return this.#leave(thread, args[0] as Connection, args[1] as string | undefined);
      case "count":
        return this.#counts.count({ tenant: args[0] as string | undefined, room: args[1] as string | undefined });
      case "connections": {
        const set = { tenant: args[0] as string };
        return (args[1] as readonly string[]).map((user) => this.#counts.countUser(set, user));
      }
      case "close":
        this.#leaveAll(thread);
    }
  }

  #enter(thread: Thread, connection: Connection): void {
    const open = this.#openOf(thread, connection);
    if (open.isOnline) return;
    open.isOnline = true;
    this.#count(connection, 1);
  }

  #join(thread: Thread, membership: Membership): boolean {
    const kicked = this.#rooms.join(membership);
    if (!kicked) return false;
    const { connection, room } = membership;
    const open = this.#openOf(thread, connection);
    open.rooms ??= new Set();
    if (!open.rooms.has(room)) this.#counts.add({ tenant: connection.tenant, room }, connection.user, 1);
    open.rooms.add(room);
    this.#owners.set(connection.id, thread);
    for (const other of kicked) this.#kicked(other.connection, room);
    return true;
  }

  #leave(thread: Thread, connection: Connection, room?: string): void {
    const { id, tenant, user } = connection;
    const open = thread.open.get(id);
    if (open?.connection.tenant !== tenant || open.connection.user !== user) return;
    for (const left of room === undefined ? (open.rooms ?? []) : [room]) {
      this.#rooms.leave(connection, left);
      this.#forgetRoom(open, left);
    }
    if (room === undefined && open.isOnline) {
      open.isOnline = false;
      this.#count(connection, -1);
    }
    this.#forget(thread, open);
  }

  #kicked({ id }: Connection, room: string): void {
    const owner = this.#owners.get(id);
    const open = owner?.open.get(id);
    if (!owner || !open) return;
    this.#forgetRoom(open, room);
    this.#forget(owner, open);
    this.#note(owner, { type: "kicked", connection: id, room });
  }

  #forgetRoom({ connection, rooms }: Open, room: string): void {
    if (rooms?.delete(room)) this.#counts.add({ tenant: connection.tenant, room }, connection.user, -1);
  }

  #forget(thread: Thread, { connection: { id }, isOnline, rooms }: Open): void {
    if (rooms?.size) return;
    this.#owners.delete(id);
    if (!isOnline) thread.open.delete(id);
  }

  #openOf(thread: Thread, connection: Connection): Open {
    const known = thread.open.get(connection.id);
    if (known) return known;
    const open: Open = { connection, isOnline: false, rooms: undefined };
    thread.open.set(connection.id, open);
    return open;
  }

  #leaveAll(thread: Thread): void {
    for (const { connection } of [...thread.open.values()]) this.#leave(thread, connection);
  }

  /** Counts a connection as online, or, with -1, no longer. */
  #count({ tenant, user }: Connection, by: 1 | -1): void {
    this.#counts.add({ tenant }, user, by);
    for (const thread of this.#threads.values()) {
      if (thread === this.#caller) this.#note(thread, { type: "count", tenant });
      else thread.changedTenants.add(tenant);
    }
    this.#announceTimer ??= setTimeout(() => this.#announce(), announceMs).unref();
  }

  #note(thread: Thread, change: PresenceChange): void {
    const changes = this.#changes.get(thread);
    if (changes) changes.push(change);
    else this.#changes.set(thread, [change]);
  }

  #postChanges(): void {
    for (const [{ port }, changes] of this.#changes) post(port, { changes });
    this.#changes.clear();
  }

  #announce(): void {
    this.#announceTimer = undefined;
    for (const { port, changedTenants } of this.#threads.values()) {
      if (changedTenants.size === 0) continue;
      const changes = [...changedTenants].map((tenant): PresenceChange => ({ type: "count", tenant }));
      changedTenants.clear();
      post(port, { changes });
    }
  }
}

function post(port: MessagePort, { changes = [], answers = [], counts }: Partial<PresenceMessage>): void {
  port.postMessage({ changes, answers, ...(counts && { counts }) } satisfies PresenceMessage);
}
