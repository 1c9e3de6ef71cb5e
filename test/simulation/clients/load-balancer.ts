import { ConnectError } from "@connectrpc/connect";
import type { Core } from "../../../src/core/core.ts";
import { reasonOf } from "../../../src/errors.ts";
import { Network, noFaults } from "../runtime/network.ts";
import type { Scheduler } from "../runtime/scheduler.ts";
import type { SeededRandom } from "../runtime/seeded-random.ts";
import type { SimNode } from "../sim-node.ts";

/** Connects clients to nodes, like a load balancer that is slow to notice a dead node. */
export class LoadBalancer {
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #nodes: readonly SimNode[];

  constructor(scheduler: Scheduler, random: SeededRandom, nodes: readonly SimNode[]) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#nodes = nodes;
  }

  /** Any node, but seldom a dead one. */
  pick(): SimNode {
    const node = this.#random.pick(this.#nodes);
    return node.core || this.#random.chance(0.2) ? node : this.#random.pick(this.#nodes);
  }

  /** The delay of one way between a client and a node, in ms; different each time. */
  get delay(): number {
    return this.#random.between(0.3, 6);
  }

  /** Calls a node from a client. Rejects when the node is down, dies, or does not respond within `timeoutMs`. */
  call<T>(node: SimNode, use: (core: Core) => Promise<T>, timeoutMs: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const { host } = node;
      const { incarnation } = host;
      const timer = this.#scheduler.at(timeoutMs, () => reject(new Error("no response")));
      const settle = (then: () => void) =>
        this.#scheduler.at(this.delay, () => {
          timer.cancel();
          then();
        });
      this.#scheduler.at(this.delay, () => {
        if (!node.core || host.incarnation !== incarnation) return settle(() => reject(new Error("refused")));
        host.enter(incarnation, () => {
          const { core } = node;
          if (!core) return;
          use(core).then(
            (value) => host.incarnation === incarnation && settle(() => resolve(value)),
            (error) => host.incarnation === incarnation && settle(() => reject(error)),
          );
        });
      });
    });
  }
}

/** Whether a client may see this error while faults are injected. Every other error is a bug. */
export function isExpected(error: unknown): boolean {
  if (!(error instanceof ConnectError))
    return error instanceof Error && ["no response", "refused"].includes(error.message);
  const reason = reasonOf(error);
  return reason !== undefined && !["INTERNAL", "FIELD_INVALID", "REQUEST_ID_REUSED"].includes(reason);
}

/** An error for the log: its reason, or else its message. */
export function errorName(error: unknown): string {
  if (error instanceof ConnectError) return reasonOf(error) ?? error.message;
  return error instanceof Error ? error.message : String(error);
}

/** A network that never fails, for parts that are not under test. */
export function reliableNetwork(scheduler: Scheduler, random: SeededRandom): Network {
  return new Network(scheduler, random, noFaults([0.1, 2]));
}
