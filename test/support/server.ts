/** A whole server inside the test's process, on a free port of its own. */
import { randomUUID } from "node:crypto";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { PushService } from "../../gen/tidings/v1/push_service_pb.ts";
import { mintToken } from "../../src/auth/mint-token.ts";
import type { TidingsOptions } from "../../src/options.ts";
import { createTidings, type ListenOptions, type Tidings } from "../../src/server.ts";
import { secret } from "./token.ts";

/** What a test may want to be otherwise: options of createTidings, and of listen. */
export interface ServerOptions extends Partial<TidingsOptions>, ListenOptions {}

/** Who calls. */
export interface Caller {
  /** Default `ann`; for other roles `backend`. */
  readonly sub?: string;
  /** No default: each test has a tenant of its own. Left out: a service of all tenants. */
  readonly tenant?: string;
  /** Default `user`. */
  readonly role?: "user" | "service" | "admin";
  /** For how many seconds the token is good, from the server's clock on. Default: a day. */
  readonly ttl?: number;
  /** Rooms that the token opens, and those to speak in. Default: none. */
  readonly rooms?: readonly string[];
  readonly publish?: readonly string[];
  /** The token's id. Default: none. */
  readonly jti?: string;
}

/** A running server. */
export interface TestServer {
  readonly tidings: Tidings;
  /** Such as `http://127.0.0.1:12345`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Where its figures are, if the test asked for an address for them. */
  readonly metricsUrl: string | undefined;
  /** A token that the server accepts. */
  token(caller: Caller): Promise<string>;
  /** A typed client, by Connect over HTTP/2, that calls as someone. */
  client(caller: Caller): Client<typeof PushService>;
  /** Closes it as its owner would, then cuts what its clients left open. */
  stop(): Promise<void>;
}

const daySeconds = 86_400;

/** A tenant that no other test knows. */
export function newTenant(): string {
  return `tenant-${randomUUID().slice(0, 8)}`;
}

/** Starts a server whose store is in memory, unless the test names a folder. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const { host = "127.0.0.1", port = 0, tls, fallback, metricsAddress, ...rest } = options;
  const tidings = await createTidings({ data: ":memory:", auth: { secret }, drainMs: 0, ...rest });
  const listen = {
    host,
    port,
    ...(tls ? { tls } : {}),
    ...(fallback ? { fallback } : {}),
    ...(metricsAddress ? { metricsAddress } : {}),
  };
  const address = await tidings.listen(listen);
  const now = () => Math.floor((options.clock?.now() ?? Date.now()) / 1000);
  const sessions = new Set<Http2SessionManager>();

  const token = ({ role = "user", sub = role === "user" ? "ann" : "backend", ttl = daySeconds, ...claims }: Caller) =>
    mintToken(secret, { sub, role, exp: now() + ttl, ...claims }, now());

  return {
    tidings,
    url: address.url,
    host: `${host}:${address.port}`,
    port: address.port,
    metricsUrl: address.metrics,
    token,
    client(caller) {
      // The certificates of tests are signed by nobody else.
      const sessionManager = new Http2SessionManager(address.url, {}, { rejectUnauthorized: false });
      sessions.add(sessionManager);
      const bearer: Interceptor = (next) => async (request) => {
        request.header.set("authorization", `Bearer ${await token(caller)}`);
        return next(request);
      };
      const interceptors = [bearer];
      const transport = createConnectTransport({
        baseUrl: address.url,
        httpVersion: "2",
        sessionManager,
        interceptors,
      });
      return createClient(PushService, transport);
    },
    async stop() {
      await tidings.close();
      for (const session of sessions) session.abort();
    },
  };
}
