import { type Core, startCore } from "../../src/core/core.ts";
import { resolveOptions, type Settings } from "../../src/options.ts";
import { secret } from "../support/token.ts";
import type { Dice } from "./dice.ts";
import type { Host } from "./host.ts";
import type { Network } from "./network.ts";
import type { ReplicaSet } from "./replica-set.ts";
import type { SimBusNet } from "./sim-bus.ts";
import type { SimPresenceNet } from "./sim-presence.ts";
import { SimStore } from "./sim-store.ts";
import type { Wiring } from "./wiring.ts";

/** What the nodes of a simulated system share. */
export interface Surroundings {
  readonly dice: Dice;
  readonly wiring: Wiring;
  readonly replica: ReplicaSet;
  readonly lines: Network;
  readonly bus: SimBusNet;
  readonly presence: SimPresenceNet;
  /** Messages kept per feed. */
  readonly keep: number;
  /** How long messages are kept, in ms. */
  readonly keepMs: number;
  /** Hears of errors that a node never should have. */
  readonly logged: (message: string) => void;
}

/** Streams say something at least this often, in ms. */
export const heartbeatMs = 5_000;
const dayMs = 86_400_000;

/** One node: the real core, on ports of the simulation. */
export class SimNode {
  readonly host: Host;
  readonly #around: Surroundings;
  #core: Core | undefined;
  #died = () => {};
  readonly #deaths = new Set<() => void>();

  constructor(host: Host, around: Surroundings) {
    this.host = host;
    this.#around = around;
  }

  /** Undefined while it is not there, or not ready. */
  get core(): Core | undefined {
    return this.#core;
  }

  /** Starts the process. */
  async start(): Promise<void> {
    const { host } = this;
    const { dice, wiring, replica, lines: network, keep } = this.#around;
    const { life } = host;
    const store = new SimStore({ replica, network, host, dice, wiring, keep });
    const { presence, died } = this.#around.presence.join(host);
    this.#died = died;
    const core = await startCore({ store, bus: this.#around.bus.join(host), presence }, () => {}, this.#settings());
    if (life === host.life) this.#core = core;
  }

  /** Kills the process: nothing that it waits for ever comes. */
  kill(): void {
    this.#core = undefined;
    this.host.kill();
    this.#died();
    this.#around.bus.suspect(this.host);
    const deaths = [...this.#deaths];
    this.#deaths.clear();
    for (const death of deaths) death();
  }

  /** Calls once the process has died, as the other end of a connection notices it. */
  onDeath(call: () => void): () => void {
    this.#deaths.add(call);
    return () => void this.#deaths.delete(call);
  }

  /** Stops the process cleanly; what is still open after is a leak. */
  async close(): Promise<void> {
    await this.#core?.close();
  }

  #settings(): Settings {
    const { host } = this;
    const { keep, keepMs, dice } = this.#around;
    const given = { data: "simulated", auth: { secret }, heartbeatMs, retention: { count: keep } };
    const { clock, defer } = host;
    return {
      ...resolveOptions({ ...given, clock, defer, random: dice.fork().random }),
      retention: { count: keep, days: keepMs / dayMs },
    };
  }
}
