/** The servers under test. Each is a process of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child, type Launch } from "../process/child.ts";
import { Caller, rawRequest } from "../sockets/raw-caller.ts";
import { batchBody, publishBody, publishTo, sampleBytes } from "../workload/message.ts";
import { benchTenant, serviceToken } from "../workload/tokens.ts";
import type { TidingsSpec } from "./process/tidings.ts";

/** A running server. */
export interface Server extends AsyncDisposable {
  readonly port: number;
  /** The CPU time of all its threads so far, user and system, in µs. */
  cpu(): Promise<number>;
  /** Its resident memory as an operator sees it, without a forced garbage collection, in bytes. */
  resident(): number;
}

/** A server to which a backend publishes messages to single users. */
export interface Unicaster extends Server {
  /** The HTTP request that publishes one message to this user. Its content has a marker. */
  publishRequest(user: string): Buffer;
}

/** A server that can send messages to all its subscribers. */
export interface Sender extends Server {
  /** Sends `count` messages to each subscriber in one event-loop tick. Resolves when it has sent them. */
  send(count: number): Promise<void>;
  /** Writes `count` messages to each subscriber, one write each, without a pause between the rounds. */
  flood?(count: number): Promise<void>;
  /** Runs the code of a publish `times` times, without subscribers, so that it is compiled. Absent when there is none. */
  warmUp?(times: number): Promise<void>;
}

/** A server to compare with: one of the programs in the folder `process`. */
export class ReferenceServer implements Sender {
  readonly child: Child;
  readonly port: number;

  private constructor(child: Child, port: number) {
    this.child = child;
    this.port = port;
  }

  /** Starts a program. `option`: the HTTP version of `connect`. */
  static async start(
    name: "bare" | "ws" | "socket-io" | "connect" | "grpc" | "json",
    option?: string,
  ): Promise<ReferenceServer> {
    const child = new Child(`servers/process/${name}.ts`);
    return new ReferenceServer(child, await child.call<number>("start", option));
  }

  /** Starts the write loop in C. `program`: its path, from `buildWriteLoop`. */
  static async startWriteLoop(program: string): Promise<ReferenceServer> {
    const child = new Child("the write loop", { program });
    return new ReferenceServer(child, await child.call<number>("start", sampleBytes().toString("hex")));
  }

  cpu(): Promise<number> {
    return this.child.cpu();
  }

  resident(): number {
    return this.child.resident();
  }

  async flood(count: number): Promise<void> {
    await this.child.call("flood", count);
  }

  async send(count: number): Promise<void> {
    await this.child.call("send", count);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.child[Symbol.asyncDispose]();
  }
}

/** Tidings. Its data folder is removed at the end, unless the table provided it. */
export class TidingsServer implements Sender, Unicaster {
  readonly child: Child;
  readonly port: number;
  readonly #folder: string | undefined;
  readonly #caller: Caller;
  readonly #token: string;
  readonly #requests = new Map<number, Buffer>();

  private constructor(child: Child, port: number, folder: string | undefined, token: string) {
    this.child = child;
    this.port = port;
    this.#folder = folder;
    this.#token = token;
    this.#caller = new Caller(port);
  }

  /** Starts a server; without `data` and `nodes` it stores messages on disk, in a temporary folder. */
  static async start(spec: TidingsSpec = {}, launch: Launch = {}): Promise<TidingsServer> {
    const hasStore = spec.data !== undefined || spec.nodes !== undefined;
    const folder = hasStore ? undefined : mkdtempSync(join(tmpdir(), "tidings-bench-"));
    const child = new Child("servers/process/tidings.ts", launch);
    const port = await child.call<number>("start", folder === undefined ? spec : { ...spec, data: folder });
    return new TidingsServer(child, port, folder, await serviceToken());
  }

  cpu(): Promise<number> {
    return this.child.cpu();
  }

  resident(): number {
    return this.child.resident();
  }

  publishRequest(user: string): Buffer {
    return rawRequest("Publish", this.#token, publishBody(publishTo({ user })));
  }

  /** Calls Publish for one message to the tenant, PublishBatch for several. */
  async send(count: number): Promise<void> {
    const request = this.#requests.get(count) ?? this.#request(count);
    this.#requests.set(count, request);
    await this.#caller.call(request);
  }

  /** A send runs the code of a delivery once per subscriber, but the code of a publish only once. */
  async warmUp(times: number): Promise<void> {
    const request = rawRequest("Publish", this.#token, publishBody(publishTo({ user: "nobody" })));
    for (let count = 0; count < times; count++) await this.#caller.call(request);
  }

  /** Calls a method of PushService as a service and resolves with the body of the response. */
  call(method: string, body: Uint8Array): Promise<Buffer> {
    return this.#caller.call(rawRequest(method, this.#token, body));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#caller.close();
    await this.child[Symbol.asyncDispose]();
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }

  #request(count: number): Buffer {
    const publish = publishTo({ tenant: benchTenant });
    return count === 1
      ? rawRequest("Publish", this.#token, publishBody(publish))
      : rawRequest("PublishBatch", this.#token, batchBody(Array.from({ length: count }, () => publish)));
  }
}
