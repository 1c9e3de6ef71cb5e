import type { Connection, Membership, OnlineTotals, Presence, PresenceChange } from "../../ports/presence.ts";
import { Listeners } from "../../util/listeners.ts";
import { MemoryRooms } from "./rooms.ts";

/** Port Presence within one process. It needs no leases: a process that dies takes its connections with it. */
export class MemoryPresence implements Presence {
  /** Tenant → user → ids of open streams. Empty maps are dropped. */
  readonly #tenants = new Map<string, Map<string, Set<string>>>();
  /** Tenant → number of open streams. */
  readonly #connections = new Map<string, number>();
  readonly #listeners = new Listeners<PresenceChange>();
  readonly #rooms = new MemoryRooms();

  async enter({ id, tenant, user }: Connection): Promise<void> {
    const users = this.#tenants.get(tenant) ?? new Map<string, Set<string>>();
    this.#tenants.set(tenant, users);
    const open = users.get(user) ?? new Set<string>();
    users.set(user, open);
    if (open.has(id)) return;
    open.add(id);
    this.#change(tenant, 1);
  }

  async join(membership: Membership): Promise<boolean> {
    const kicked = this.#rooms.join(membership);
    for (const { connection, room } of kicked ?? []) {
      this.#listeners.call({ type: "kicked", connection: connection.id, room });
    }
    return kicked !== undefined;
  }

  async leave(connection: Connection, room?: string): Promise<void> {
    if (room !== undefined) {
      this.#rooms.leave(connection, room);
      return;
    }
    this.#rooms.leaveAll(connection);
    this.#leaveTenant(connection);
  }

  async count(tenant: string | undefined, room?: string): Promise<OnlineTotals> {
    if (tenant !== undefined && room !== undefined) return this.#rooms.count(tenant, room);
    const tenants = tenant === undefined ? [...this.#tenants.keys()] : [tenant];
    let users = 0;
    let connections = 0;
    for (const key of tenants) {
      users += this.#tenants.get(key)?.size ?? 0;
      connections += this.#connections.get(key) ?? 0;
    }
    return { users, connections };
  }

  async connections(tenant: string, users: readonly string[]): Promise<readonly number[]> {
    const online = this.#tenants.get(tenant);
    return users.map((user) => online?.get(user)?.size ?? 0);
  }

  get leases(): number {
    return [...this.#connections.values()].reduce((sum, open) => sum + open, 0);
  }

  watch(listener: (change: PresenceChange) => void): () => void {
    return this.#listeners.add(listener);
  }

  async close(): Promise<void> {
    this.#tenants.clear();
    this.#connections.clear();
    this.#rooms.clear();
    this.#listeners.clear();
  }

  #leaveTenant({ id, tenant, user }: Connection): void {
    const users = this.#tenants.get(tenant);
    const open = users?.get(user);
    if (!users || !open?.delete(id)) return;
    if (open.size === 0) users.delete(user);
    if (users.size === 0) this.#tenants.delete(tenant);
    this.#change(tenant, -1);
  }

  #change(tenant: string, by: number): void {
    const connections = (this.#connections.get(tenant) ?? 0) + by;
    if (connections === 0) this.#connections.delete(tenant);
    else this.#connections.set(tenant, connections);
    this.#listeners.call({ type: "count", tenant });
  }
}
