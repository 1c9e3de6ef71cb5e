import { MemoryPresence } from "../../src/adapters/memory/presence.ts";
import type { Connection, Presence } from "../../src/ports/presence.ts";
import type { Host } from "./host.ts";
import type { Network } from "./network.ts";
import type { Scheduler } from "./scheduler.ts";

/** Half a minute, where time costs nothing. */
const leaseMs = 15_000;
const callMs = 60_000;

/** Presence that all simulated nodes share: what a node that died had entered is out when its lease ends. */
export class SimPresenceNet {
  readonly shared = new MemoryPresence();
  readonly #scheduler: Scheduler;
  readonly #network: Network;

  constructor(scheduler: Scheduler, network: Network) {
    this.#scheduler = scheduler;
    this.#network = network;
  }

  /** The port of the present life of a host. `died` is to be called when that life ends. */
  join(host: Host): { presence: Presence; died: () => void } {
    const { life } = host;
    const { shared } = this;
    const entered = new Map<string, Connection>();
    const unwatch: (() => void)[] = [];
    // In the order of the calls, as on any one connection; only answers take their time.
    const ask = <T>(call: () => Promise<T>) => {
      const done = call();
      return this.#network.ask(host, () => done, callMs);
    };
    const end = async () => {
      for (const unwatchOne of unwatch) unwatchOne();
      for (const connection of entered.values()) await shared.leave(connection);
    };
    const presence: Presence = {
      enter: (connection) =>
        ask(async () => {
          entered.set(connection.id, connection);
          return shared.enter(connection);
        }),
      join: (seat) => ask(() => shared.join(seat)),
      leave: (connection, room) =>
        ask(async () => {
          if (room === undefined) entered.delete(connection.id);
          return shared.leave(connection, room);
        }),
      count: (tenant, room) => ask(() => shared.count(tenant, room)),
      connections: (tenant, users) => ask(() => shared.connections(tenant, users)),
      watch: (listener) => {
        const off = shared.watch((change) => this.#scheduler.at(0, () => host.enter(life, () => listener(change))));
        unwatch.push(off);
        return off;
      },
      get leases() {
        return entered.size;
      },
      close: end,
    };
    return { presence, died: () => void this.#scheduler.at(leaseMs, () => void end()) };
  }
}
