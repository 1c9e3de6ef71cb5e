import { MemoryPresence } from "../../../src/adapters/memory/presence.ts";
import type { Connection, Presence } from "../../../src/ports/presence.ts";
import type { Host } from "../runtime/host.ts";
import type { Network } from "../runtime/network.ts";
import type { Scheduler } from "../runtime/scheduler.ts";

/** The lease of a node, in ms: half of that of a real presence. */
const leaseMs = 15_000;
const callMs = 60_000;

/** The presence that all simulated nodes share. The connections of a node that died are removed when its lease expires. */
export class SimPresence {
  readonly shared = new MemoryPresence();
  readonly #scheduler: Scheduler;
  readonly #network: Network;

  constructor(scheduler: Scheduler, network: Network) {
    this.#scheduler = scheduler;
    this.#network = network;
  }

  /** The port of the current incarnation of a host. Call `endLeases` when the incarnation dies. */
  join(host: Host): { presence: Presence; endLeases: () => void } {
    const { incarnation } = host;
    const { shared } = this;
    const entered = new Map<string, Connection>();
    const unwatch: (() => void)[] = [];
    // Calls take effect in their order, as on a single connection; only the responses are delayed.
    const call = <T>(method: () => Promise<T>) => {
      const done = method();
      return this.#network.call(host, () => done, callMs);
    };
    const end = async () => {
      for (const unwatchOne of unwatch) unwatchOne();
      for (const connection of entered.values()) await shared.leave(connection);
    };
    const presence: Presence = {
      enter: (connection) =>
        call(async () => {
          entered.set(connection.id, connection);
          return shared.enter(connection);
        }),
      join: (membership) => call(() => shared.join(membership)),
      leave: (connection, room) =>
        call(async () => {
          if (room === undefined) entered.delete(connection.id);
          return shared.leave(connection, room);
        }),
      count: (tenant, room) => call(() => shared.count(tenant, room)),
      connections: (tenant, users) => call(() => shared.connections(tenant, users)),
      watch: (listener) => {
        const off = shared.watch((change) =>
          this.#scheduler.at(0, () => host.enter(incarnation, () => listener(change))),
        );
        unwatch.push(off);
        return off;
      },
      get leases() {
        return entered.size;
      },
      close: end,
    };
    return { presence, endLeases: () => void this.#scheduler.at(leaseMs, () => void end()) };
  }
}
