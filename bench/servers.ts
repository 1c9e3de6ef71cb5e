/** Servers under test, each in a process of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child } from "./child.ts";
import { RawCaller, rawRequest } from "./drivers/raw-caller.ts";
import { batchBody, publishBody, publishTo } from "./message.ts";
import type { TidingsSpec } from "./servers/tidings.ts";
import { benchTenant, serviceToken } from "./tokens.ts";

/** A server that can send to all its subscribers. */
export interface Sender extends AsyncDisposable {
  readonly port: number;
  /** CPU time of all its threads so far, user and system, in µs. */
  cpu(): Promise<number>;
  /** Sends so many messages to each subscriber in one turn; answers when it has. */
  send(count: number): Promise<void>;
  /** Does what a send does once per message, without subscribers; not needed where nothing is. */
  warmUp?(times: number): Promise<void>;
}

/** A server of this folder that sends when it is asked to; also for idle memory. */
export class PlainServer implements Sender {
  readonly child: Child;
  readonly port: number;

  private constructor(child: Child, port: number) {
    this.child = child;
    this.port = port;
  }

  static async start(file: "bare" | "ws" | "socket-io" | "connect" | "grpc", option?: string): Promise<PlainServer> {
    const child = new Child(`servers/${file}.ts`);
    return new PlainServer(child, await child.ask<number>("start", option));
  }

  cpu(): Promise<number> {
    return this.child.cpu();
  }

  async send(count: number): Promise<void> {
    await this.child.ask("send", count);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.child[Symbol.asyncDispose]();
  }
}

/** Tidings; its folder goes with it unless it was given. */
export class TidingsServer implements Sender {
  readonly child: Child;
  readonly port: number;
  readonly #folder: string | undefined;
  #caller: RawCaller | undefined;
  readonly #token: string;
  readonly #requests = new Map<number, Buffer>();

  private constructor(child: Child, port: number, folder: string | undefined, token: string) {
    this.child = child;
    this.port = port;
    this.#folder = folder;
    this.#token = token;
  }

  /** Without `data` and `nodes`: on disk, in a folder of its own. */
  static async start(spec: TidingsSpec = {}): Promise<TidingsServer> {
    const isPlaced = spec.data !== undefined || spec.nodes !== undefined;
    const folder = isPlaced ? undefined : mkdtempSync(join(tmpdir(), "tidings-bench-"));
    const child = new Child("servers/tidings.ts");
    const port = await child.ask<number>("start", folder === undefined ? spec : { ...spec, data: folder });
    return new TidingsServer(child, port, folder, await serviceToken());
  }

  cpu(): Promise<number> {
    return this.child.cpu();
  }

  /** One Publish to the tenant, or one PublishBatch of so many. */
  async send(count: number): Promise<void> {
    const request = this.#requests.get(count) ?? this.#request(count);
    this.#requests.set(count, request);
    await this.#call(request);
  }

  /** One send runs the code of a delivery a thousand times, and that of a publish once. */
  async warmUp(times: number): Promise<void> {
    const request = rawRequest("Publish", this.#token, publishBody(publishTo({ user: "nobody" })));
    for (let count = 0; count < times; count++) await this.#call(request);
  }

  /** A call of PushService on the same connection. */
  call(method: string, body: Uint8Array): Promise<Buffer> {
    return this.#call(rawRequest(method, this.#token, body));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#caller?.close();
    await this.child[Symbol.asyncDispose]();
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }

  async #call(request: Buffer): Promise<Buffer> {
    if (!this.#caller || this.#caller.closed) this.#caller = await RawCaller.open(this.port);
    return this.#caller.call(request);
  }

  #request(count: number): Buffer {
    const publish = publishTo({ tenant: benchTenant });
    return count === 1
      ? rawRequest("Publish", this.#token, publishBody(publish))
      : rawRequest("PublishBatch", this.#token, batchBody(Array.from({ length: count }, () => publish)));
  }
}
