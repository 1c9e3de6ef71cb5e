import { type Core, startCore } from "../../src/core/core.ts";
import { resolveOptions, type Settings } from "../../src/options.ts";
import { dayMs } from "../../src/util/durations.ts";
import { secret } from "../support/token.ts";
import type { ReplicaSet } from "./backends/replica-set.ts";
import type { SimBus } from "./backends/sim-bus.ts";
import type { SimPresence } from "./backends/sim-presence.ts";
import { SimStore } from "./backends/sim-store.ts";
import type { Host } from "./runtime/host.ts";
import type { Network } from "./runtime/network.ts";
import type { SeededRandom } from "./runtime/seeded-random.ts";
import type { Variant } from "./variant.ts";

/** The backends and the configuration that the nodes of a simulation share. */
export interface NodeEnvironment {
  readonly random: SeededRandom;
  readonly variant: Variant;
  readonly replica: ReplicaSet;
  /** The links between nodes and the replica set. */
  readonly storeNetwork: Network;
  readonly bus: SimBus;
  readonly presence: SimPresence;
  /** Messages kept per feed. */
  readonly keep: number;
  /** How long messages are kept, in ms. */
  readonly keepMs: number;
  /** The memory of a node for recent messages, in bytes. */
  readonly ringBytes: number;
}

/** The longest silence of a stream, in ms. */
export const heartbeatMs = 5_000;

/** One node: the real core on simulated ports. */
export class SimNode {
  readonly host: Host;
  readonly #environment: NodeEnvironment;
  #core: Core | undefined;
  #endLeases = () => {};
  readonly #deathListeners = new Set<() => void>();

  constructor(host: Host, environment: NodeEnvironment) {
    this.host = host;
    this.#environment = environment;
  }

  /** Its core; undefined while it is down or starting. */
  get core(): Core | undefined {
    return this.#core;
  }

  /** Starts the process. */
  async start(): Promise<void> {
    const { host } = this;
    const { random, variant, replica, storeNetwork: network, keep } = this.#environment;
    const { incarnation } = host;
    const store = new SimStore({ replica, network, host, random, variant, keep });
    const { presence, endLeases } = this.#environment.presence.join(host);
    this.#endLeases = endLeases;
    const bus = this.#environment.bus.join(host);
    const core = await startCore({ store, bus, presence }, () => {}, this.#settings());
    if (incarnation === host.incarnation) this.#core = core;
  }

  /** Kills the process: promises that it awaits never settle. */
  kill(): void {
    this.#core = undefined;
    this.host.kill();
    this.#endLeases();
    this.#environment.bus.suspect(this.host);
    const listeners = [...this.#deathListeners];
    this.#deathListeners.clear();
    for (const call of listeners) call();
  }

  /** Calls when the process is killed, as the peer of its connections would notice. Returns a function that stops that. */
  onDeath(call: () => void): () => void {
    this.#deathListeners.add(call);
    return () => void this.#deathListeners.delete(call);
  }

  /** Stops the process cleanly. Resources that are in use afterwards are leaks. */
  async close(): Promise<void> {
    await this.#core?.close();
  }

  #settings(): Settings {
    const { host } = this;
    const { keep, keepMs, ringBytes, random } = this.#environment;
    const given = { data: "simulated", auth: { secret }, heartbeatMs, retention: { count: keep }, ringBytes };
    const { clock, defer } = host;
    return {
      ...resolveOptions({ ...given, clock, defer, random: random.fork().port }),
      retention: { count: keep, days: keepMs / dayMs },
    };
  }
}
