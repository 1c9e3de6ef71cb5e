import type { Filter } from "../../support/fault-pipe.ts";
import { FaultProxy } from "../../support/fault-proxy.ts";
import type { WrongClock } from "../../support/wrong-clock.ts";
import { type Flags, ServerProcess } from "../server-process.ts";
import type { StoreServer } from "./store-server.ts";

/** The backends and the configuration of a node. */
export interface ClusterNodeOptions {
  readonly name: string;
  readonly store: StoreServer;
  readonly busPort: number;
  /** Flags of `serve` besides store, bus and port. */
  readonly flags: Flags;
  /** Creates a filter for the data that Redis sends to the node. */
  readonly fromBus?: () => Filter;
  /** The clock of its machine. Default: the right one. */
  readonly clock?: WrongClock;
}

/** One node of a cluster: a process that can be killed and restarted on the same port, with a proxy to each backend. */
export class ClusterNode {
  readonly name: string;
  readonly storeProxy: FaultProxy;
  readonly busProxy: FaultProxy;
  readonly clock: WrongClock | undefined;
  readonly #flags: Flags;
  #process: ServerProcess;
  #port = 0;
  /** The load balancer sends new connections to it. */
  isInRotation = false;
  /** The logs of its earlier processes. */
  #log = "";

  private constructor({ name, store, flags, clock }: ClusterNodeOptions, storeProxy: FaultProxy, busProxy: FaultProxy) {
    this.name = name;
    this.storeProxy = storeProxy;
    this.busProxy = busProxy;
    this.#flags = { ...flags, store: store.url(storeProxy.port), bus: `redis://127.0.0.1:${busProxy.port}` };
    this.clock = clock;
    this.#process = new ServerProcess(this.#flags, clock?.env);
  }

  /** Starts a node; `ready` resolves when it accepts connections. */
  static async start(options: ClusterNodeOptions): Promise<ClusterNode> {
    const proxies = [FaultProxy.to(options.store.port), FaultProxy.to(options.busPort, options.fromBus)] as const;
    return new ClusterNode(options, ...(await Promise.all(proxies)));
  }

  /** Waits until it accepts connections. Rejects when it ends before. */
  async ready(): Promise<void> {
    this.#port = Number(new URL(await this.#process.ready).port);
    this.isInRotation = true;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The logs of all its processes. */
  get log(): string {
    return this.#log + this.#process.log;
  }

  /** Starts another process on the same port, and waits until it accepts connections. */
  async restart(): Promise<void> {
    this.#log += this.#process.log;
    this.#process = new ServerProcess({ ...this.#flags, port: String(this.#port) }, this.clock?.env);
    await this.ready();
  }

  /** Kills its process. */
  async kill(): Promise<void> {
    this.isInRotation = false;
    await this.#process.kill();
  }

  /** Drains it and resolves with its exit code. */
  async stop(): Promise<number | null> {
    this.isInRotation = false;
    return this.#process.stop();
  }

  /** Pauses its process, with its connections open, until the returned function is called. */
  freeze(): () => void {
    this.isInRotation = false;
    const resume = this.#process.freeze();
    return () => {
      resume();
      this.isInRotation = true;
    };
  }

  /** Kills it and closes its proxies. */
  async close(): Promise<void> {
    await this.kill();
    await Promise.all([this.storeProxy.close(), this.busProxy.close()]);
    this.clock?.close();
  }
}
