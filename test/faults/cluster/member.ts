import type { Filter } from "../../support/fault-pipe.ts";
import { FaultProxy } from "../../support/fault-proxy.ts";
import { type Flags, ServerProcess } from "../server-process.ts";
import type { StoreServer } from "./store-server.ts";

/** Where a node's backends are, and how it runs. */
export interface MemberOptions {
  readonly name: string;
  readonly store: StoreServer;
  readonly busPort: number;
  /** Of `serve`, beside store, bus and port. */
  readonly flags: Flags;
  /** Changes what Redis says to the node. */
  readonly fromBus?: () => Filter;
}

/** One node of a cluster: a process that may be ended and started again, on its port, with a cable to each backend. */
export class Member {
  readonly name: string;
  readonly storeCable: FaultProxy;
  readonly busCable: FaultProxy;
  readonly #flags: Flags;
  #process: ServerProcess;
  #port = 0;
  /** Whether a load balancer sends it new connections. */
  isInRotation = false;
  /** What its processes wrote to stderr. */
  #log = "";

  private constructor({ name, store, flags }: MemberOptions, storeCable: FaultProxy, busCable: FaultProxy) {
    this.name = name;
    this.storeCable = storeCable;
    this.busCable = busCable;
    this.#flags = { ...flags, store: store.url(storeCable.port), bus: `redis://127.0.0.1:${busCable.port}` };
    this.#process = new ServerProcess(this.#flags);
  }

  /** Starts one; `ready` tells when it serves. */
  static async start(options: MemberOptions): Promise<Member> {
    const cables = [FaultProxy.to(options.store.port), FaultProxy.to(options.busPort, options.fromBus)] as const;
    return new Member(options, ...(await Promise.all(cables)));
  }

  /** Waits until it serves. Rejects when it ends before. */
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

  get log(): string {
    return this.#log + this.#process.log;
  }

  /** Starts it again where it was, and waits until it serves. */
  async restart(): Promise<void> {
    this.#log += this.#process.log;
    this.#process = new ServerProcess({ ...this.#flags, port: String(this.#port) });
    await this.ready();
  }

  /** Ends it without a word. */
  async kill(): Promise<void> {
    this.isInRotation = false;
    await this.#process.kill();
  }

  /** Asks it to drain, and answers with its exit code. */
  async stop(): Promise<number | null> {
    this.isInRotation = false;
    return this.#process.stop();
  }

  /** Makes it stand still, connections open, until the returned function is called. */
  freeze(): () => void {
    this.isInRotation = false;
    const thaw = this.#process.freeze();
    return () => {
      thaw();
      this.isInRotation = true;
    };
  }

  /** Ends it, and removes its cables. */
  async close(): Promise<void> {
    await this.kill();
    await Promise.all([this.storeCable.close(), this.busCable.close()]);
  }
}
