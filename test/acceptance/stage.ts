/**
 * A server on a port of its own, and its clients: users and backends of one company. Rows are those of
 * docs/coverage.md.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { expect } from "vitest";
import { AdminService } from "../../gen/tidings/v1/admin_service_pb.ts";
import { PushService, type RoomMode, SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { newTenant, type ServerOptions, startServer, type TestServer } from "../support/server.ts";
import { mintToken } from "../support/token.ts";
import { type AudienceInit, type DraftInit, event, toUser } from "./audiences.ts";
import { marker, openSocket, openStream, type Page, toEnd } from "./page.ts";

/** A generated client. */
export type Push = Client<typeof PushService>;
/** The claims of a token except its subject and role. */
export interface Claims {
  readonly tenant?: string;
  readonly rooms?: readonly string[];
  readonly publish?: readonly string[];
  readonly takeover?: readonly string[];
  readonly exp?: number;
  readonly jti?: string;
}
/** The lifetime of tokens in seconds: longer than a test lets its clock advance, and shorter than the server's limit. */
const lifetimeSeconds = 300 * 86_400;

/** The protocol of a client's calls. */
export type CallWay = "connect" | "connect-json" | "grpc" | "grpc-web";
/** The protocol of a page's stream. */
export type Way = CallWay | "ws";
/** The protocols that most tests use. */
export const ways: readonly Way[] = ["connect", "grpc", "ws"];
/** The subscription of a page, and the claims of its token. */
export interface PageInit extends Claims, Omit<MessageInitShape<typeof SubscribeRequestSchema>, "rooms" | "$typeName"> {
  readonly over?: Way;
  /** The modes of the rooms to join, by their ids. */
  readonly join?: Readonly<Record<string, RoomMode>>;
}

/** A running server and its clients. */
export class Stage {
  readonly server: TestServer;
  #tenant = newTenant();
  readonly #sessions: Http2SessionManager;
  #pages: Page[] = [];
  readonly #now: () => number;

  private constructor(server: TestServer, now: () => number) {
    this.server = server;
    this.#now = now;
    this.#sessions = new Http2SessionManager(server.url);
  }

  /** Starts a server. */
  static async open(options: ServerOptions = {}): Promise<Stage> {
    return new Stage(await startServer(options), () => options.clock?.now() ?? Date.now());
  }

  /** The company of the current test. */
  get tenant(): string {
    return this.#tenant;
  }

  /** Closes the pages of a test, and gives the next test another company. */
  leave(): void {
    for (const page of this.#pages.splice(0)) page.cut();
    this.#tenant = newTenant();
  }

  /** Closes the pages and stops the server. */
  async close(): Promise<void> {
    this.leave();
    await this.server.stop();
    this.#sessions.abort();
  }

  /** As close(). */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A token of a user, signed by a library rather than by Tidings. */
  token(sub: string, { tenant = this.#tenant, ...claims }: Claims = {}): Promise<string> {
    return this.#mint({ sub, tenant, ...claims });
  }

  /** A user's client. */
  user(sub: string, claims: Claims = {}, over: CallWay = "connect"): Push {
    const tenant = this.#tenant;
    return createClient(
      PushService,
      this.transport(() => this.token(sub, { tenant, ...claims }), over),
    );
  }

  /** The client of a company's backend, by gRPC. */
  service(tenant: string | undefined = this.#tenant): Push {
    return createClient(PushService, this.transport(this.#serviceToken(tenant), "grpc"));
  }

  /** The client of a backend that is bound to no company. */
  provider(): Push {
    return createClient(PushService, this.transport(this.#serviceToken(undefined)));
  }

  /** The client of the AdminService of a company's backend. */
  admin(tenant = this.#tenant): Client<typeof AdminService> {
    return createClient(AdminService, this.transport(this.#serviceToken(tenant)));
  }

  /** A transport of the Connect libraries for Node. */
  transport(token: () => Promise<string>, over: CallWay = "connect"): Transport {
    const bearer: Interceptor = (next) => async (request) => {
      request.header.set("authorization", `Bearer ${await token()}`);
      return next(request);
    };
    const options = { baseUrl: this.server.url, sessionManager: this.#sessions, interceptors: [bearer] };
    if (over === "grpc") return createGrpcTransport(options);
    if (over === "grpc-web") return createGrpcWebTransport({ ...options, httpVersion: "2" });
    return createConnectTransport({ ...options, httpVersion: "2", useBinaryFormat: over === "connect" });
  }

  /** Opens a page of a user, and waits until it is live. */
  async page(sub: string, init: PageInit = {}): Promise<Page> {
    return (await this.opening(sub, init)).live();
  }

  /** Opens a page of a user. */
  async opening(sub: string, { over = "connect", join = {}, ...init }: PageInit = {}): Promise<Page> {
    const { tenant = this.#tenant, rooms: granted = [], publish = [], takeover = [], exp, jti, ...request } = init;
    const rooms = Object.entries(join).map(([roomId, mode]) => ({ roomId, mode }));
    const subscribe = create(SubscribeRequestSchema, { ...request, rooms });
    const claims = { tenant, rooms: granted, publish, takeover, ...(exp && { exp }), ...(jti && { jti }) };
    const token = await this.token(sub, claims);
    const page =
      over === "ws"
        ? openSocket(this.server.url, token, subscribe)
        : openStream(
            createClient(
              PushService,
              this.transport(async () => token, over),
            ),
            subscribe,
          );
    this.#pages.push(page);
    return page;
  }

  /** Publishes as the company's backend. */
  publish(audience: AudienceInit, message: DraftInit, more: { requestId?: string; replace?: boolean } = {}) {
    return this.service().publish({ ...more, audience, message });
  }

  /** Waits until pages of a user have every message published before, so that a missing one will not arrive. */
  async settle(sub: string, ...pages: Page[]): Promise<void> {
    // Two rounds: the first marker may overtake a message of another feed.
    for (let round = 0; round < 2; round++) {
      const seen = pages.map(markers);
      await this.publish(toUser(sub), event(marker));
      await Promise.all(pages.map((page, index) => page.until(() => markers(page) > (seen[index] ?? 0))));
    }
  }

  #serviceToken(tenant: string | undefined): () => Promise<string> {
    return () => this.#mint({ sub: "backend", role: "service", tenant });
  }

  #mint(claims: Readonly<Record<string, unknown>>): Promise<string> {
    return mintToken({ claims: { exp: Math.floor(this.#now() / 1000) + lifetimeSeconds, ...claims } });
  }
}

/** An expectation that becomes true within 15 s. */
export function eventually<T>(value: () => T | Promise<T>) {
  return expect.poll(value, { timeout: 15_000, interval: 5 });
}

/** The code and the reason of a call that is refused. */
export async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (thrown) {
    const { code, reason } = toEnd(thrown);
    return `${code} ${reason}`;
  }
  throw new Error("the call was not refused");
}

function markers(page: Page): number {
  return page.all("message").filter(({ event }) => event === marker).length;
}
