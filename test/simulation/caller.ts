import { ConnectError } from "@connectrpc/connect";
import type { Core } from "../../src/core/core.ts";
import { reasonOf } from "../../src/errors.ts";
import type { Dice } from "./dice.ts";
import { fairWeather, Network } from "./network.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimNode } from "./sim-node.ts";

/** The lines between clients and nodes, through a load balancer that notices late who is gone. */
export class Caller {
  readonly #scheduler: Scheduler;
  readonly #dice: Dice;
  readonly #nodes: readonly SimNode[];

  constructor(scheduler: Scheduler, dice: Dice, nodes: readonly SimNode[]) {
    this.#scheduler = scheduler;
    this.#dice = dice;
    this.#nodes = nodes;
  }

  /** Any node, dead ones seldom. */
  pick(): SimNode {
    const node = this.#dice.pick(this.#nodes);
    return node.core || this.#dice.chance(0.2) ? node : this.#dice.pick(this.#nodes);
  }

  /** One way, in ms. */
  get delay(): number {
    return this.#dice.between(0.3, 6);
  }

  /** Calls a node from outside; rejects when it is not there, dies, or does not answer in time. */
  call<T>(node: SimNode, use: (core: Core) => Promise<T>, timeoutMs: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const { host } = node;
      const { life } = host;
      const timer = this.#scheduler.at(timeoutMs, () => reject(new Error("no answer")));
      const settle = (then: () => void) =>
        this.#scheduler.at(this.delay, () => {
          timer.cancel();
          then();
        });
      this.#scheduler.at(this.delay, () => {
        if (!node.core || host.life !== life) return settle(() => reject(new Error("refused")));
        host.enter(life, () => {
          const { core } = node;
          if (!core) return;
          use(core).then(
            (value) => host.life === life && settle(() => resolve(value)),
            (error) => host.life === life && settle(() => reject(error)),
          );
        });
      });
    });
  }
}

/** Whether an error is one that a client may see while things fail. Everything else is a bug. */
export function isExpected(error: unknown): boolean {
  if (!(error instanceof ConnectError))
    return error instanceof Error && ["no answer", "refused"].includes(error.message);
  const reason = reasonOf(error);
  return reason !== undefined && !["INTERNAL", "FIELD_INVALID", "REQUEST_ID_REUSED"].includes(reason);
}

/** An error in a word. */
export function nameOf(error: unknown): string {
  if (error instanceof ConnectError) return reasonOf(error) ?? error.message;
  return error instanceof Error ? error.message : String(error);
}

/** Lines without faults, for what is not under test. */
export function plainLines(scheduler: Scheduler, dice: Dice): Network {
  return new Network(scheduler, dice, fairWeather([0.1, 2]));
}
