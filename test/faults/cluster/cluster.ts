/** Nodes as an operator runs them: processes on one MongoDB and one Redis, behind a load balancer. */

import type { Filter } from "../../support/fault-pipe.ts";
import { FaultProxy } from "../../support/fault-proxy.ts";
import { redisServer, startRedis, type TestRedis } from "../../support/redis.ts";
import type { Tool } from "../../support/tools.ts";
import type { Flags } from "../server-process.ts";
import { Member } from "./member.ts";
import { type StoreKind, type StoreServer, startStore, toolsFor } from "./store-server.ts";

/** What a cluster is made of. */
export interface ClusterOptions {
  readonly store: StoreKind;
  /** Default 3. */
  readonly nodes?: number;
  readonly flags?: Flags;
  /** Changes what Redis says to a node; asked once for each, by its number from 0. */
  readonly fromBus?: (node: number) => (() => Filter) | undefined;
}

/** The tools that a cluster on a store of this kind needs. */
export function clusterTools(store: StoreKind): readonly Tool[] {
  return [redisServer, ...toolsFor(store)];
}

/** A cluster. */
export class Cluster {
  readonly store: StoreServer;
  readonly redis: TestRedis;
  readonly members: readonly Member[];
  /** The load balancer: takes each connection to the next node that is in rotation. */
  readonly front: FaultProxy;

  private constructor(store: StoreServer, redis: TestRedis, members: readonly Member[], front: FaultProxy) {
    this.store = store;
    this.redis = redis;
    this.members = members;
    this.front = front;
  }

  /** Starts everything, and waits until it serves. */
  static async open({ store: kind, nodes = 3, flags = {}, fromBus }: ClusterOptions): Promise<Cluster> {
    const [store, redis] = await Promise.all([startStore(kind), startRedis()]);
    const members: Member[] = [];
    let turn = 0;
    const front = new FaultProxy({
      targets: () => {
        turn++;
        const open = members.filter(({ isInRotation }) => isInRotation);
        return open.map((_, index) => (open[(turn + index) % open.length] as Member).port);
      },
    });
    const cluster = new Cluster(store, redis, members, front);
    try {
      await front.listen();
      for (let number = 0; number < nodes; number++) {
        const filter = fromBus?.(number);
        members.push(
          await Member.start({
            name: `node ${number + 1}`,
            store,
            busPort: redis.port,
            // Clients of a drained node come back before the next one drains; one that is frozen does not hold all up.
            flags: { drain: "300ms", ...flags },
            ...(filter ? { fromBus: filter } : {}),
          }),
        );
        // The first one makes the schema.
        await members.at(-1)?.ready();
      }
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** Where clients connect. */
  get url(): string {
    return `http://127.0.0.1:${this.front.port}`;
  }

  /** What a node logged, with its name, at warn and above. */
  get log(): string {
    return this.members.map(({ log }) => log).join("");
  }

  /** Ends everything, and leaves nothing. */
  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.close()));
    await Promise.all([this.front.close(), this.redis.stop(), this.store.close()]);
  }
}
