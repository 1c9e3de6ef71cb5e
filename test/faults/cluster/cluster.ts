/** Nodes as an operator runs them: processes that share a MongoDB and a Redis, behind a load balancer. */
import type { Filter } from "../../support/fault-pipe.ts";
import { FaultProxy } from "../../support/fault-proxy.ts";
import { redisServer, startRedis, type TestRedis } from "../../support/redis.ts";
import type { Tool } from "../../support/tools.ts";
import { WrongClock } from "../../support/wrong-clock.ts";
import type { Flags } from "../server-process.ts";
import { ClusterNode } from "./cluster-node.ts";
import { type StoreKind, type StoreServer, startStore, toolsFor } from "./store-server.ts";

/** Options of a cluster. */
export interface ClusterOptions {
  readonly store: StoreKind;
  /** Default 3. */
  readonly nodes?: number;
  readonly flags?: Flags;
  /** Creates the filters for the data that Redis sends to a node, by the node's number from 0. */
  readonly fromBus?: (node: number) => (() => Filter) | undefined;
  /** Each node has a clock of its own, which the test sets. Default false. */
  readonly wrongClocks?: boolean;
}

/** The tools that a cluster on a store of this kind needs. */
export function clusterTools(store: StoreKind): readonly Tool[] {
  return [redisServer, ...toolsFor(store)];
}

/** A running cluster. */
export class Cluster {
  readonly store: StoreServer;
  readonly redis: TestRedis;
  readonly nodes: readonly ClusterNode[];
  /** Takes each connection to the next node that is in rotation. */
  readonly loadBalancer: FaultProxy;

  private constructor(store: StoreServer, redis: TestRedis, nodes: readonly ClusterNode[], loadBalancer: FaultProxy) {
    this.store = store;
    this.redis = redis;
    this.nodes = nodes;
    this.loadBalancer = loadBalancer;
  }

  /** Starts everything, and waits until all nodes accept connections. */
  static async open({
    store: kind,
    nodes: count = 3,
    flags = {},
    fromBus,
    wrongClocks,
  }: ClusterOptions): Promise<Cluster> {
    const [store, redis] = await Promise.all([startStore(kind), startRedis()]);
    const nodes: ClusterNode[] = [];
    let next = 0;
    const loadBalancer = new FaultProxy({
      targets: () => {
        next++;
        const open = nodes.filter(({ isInRotation }) => isInRotation);
        return open.map((_, index) => (open[(next + index) % open.length] as ClusterNode).port);
      },
    });
    const cluster = new Cluster(store, redis, nodes, loadBalancer);
    try {
      await loadBalancer.listen();
      for (let number = 0; number < count; number++) {
        const filter = fromBus?.(number);
        const node = await ClusterNode.start({
          name: `node ${number + 1}`,
          store,
          busPort: redis.port,
          // Short, so that clients of a drained node reconnect before the next one drains.
          flags: { drain: "300ms", ...flags },
          ...(filter ? { fromBus: filter } : {}),
          ...(wrongClocks ? { clock: new WrongClock() } : {}),
        });
        nodes.push(node);
        // One after the other, because the first node creates the schema.
        await node.ready();
      }
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** The URL of the load balancer. */
  get url(): string {
    return `http://127.0.0.1:${this.loadBalancer.port}`;
  }

  /** The logs of all nodes, at level warn and above. */
  get log(): string {
    return this.nodes.map(({ log }) => log).join("");
  }

  /** Ends all processes and removes their data. */
  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.close()));
    await Promise.all([this.loadBalancer.close(), this.redis.stop(), this.store.close()]);
  }
}
