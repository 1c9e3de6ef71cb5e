/** A server inside the process of the test, on a free port. */
import { randomUUID } from "node:crypto";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { PushService } from "../../gen/tidings/v1/push_service_pb.ts";
import { mintToken } from "../../src/auth/mint-token.ts";
import type { TidingsOptions } from "../../src/options.ts";
import { createTidings, type ListenOptions, type Tidings } from "../../src/server.ts";
import { secret } from "./token.ts";

/** Options of createTidings and of listen; all have defaults. */
export interface ServerOptions extends Partial<TidingsOptions>, ListenOptions {}

/** The caller of a token. */
export interface Caller {
  /** The subject. Default `ann`; for other roles `backend`. */
  readonly sub?: string;
  /** The tenant, without a default because each test has its own. Left out for a service of all tenants. */
  readonly tenant?: string;
  /** The role. Default `user`. */
  readonly role?: "user" | "service" | "admin";
  /** How long the token is valid, in seconds from now by the server's clock. Default: a day. */
  readonly ttl?: number;
  /** The rooms that the caller may enter. Default: none. */
  readonly rooms?: readonly string[];
  /** The rooms that the caller may publish to. Default: none. */
  readonly publish?: readonly string[];
  /** The rooms that the caller may take over. Default: none. */
  readonly takeover?: readonly string[];
  /** The id of the token. Default: none. */
  readonly jti?: string;
}

/** A running server. */
export interface TestServer {
  readonly tidings: Tidings;
  /** The URL, such as `http://127.0.0.1:12345`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** The URL of the metrics, if the test set `metricsAddress`. */
  readonly metricsUrl: string | undefined;
  /** Signs a token that the server accepts. */
  token(caller: Caller): Promise<string>;
  /** Creates a client of the caller, by Connect over HTTP/2. */
  client(caller: Caller): Client<typeof PushService>;
  /** Closes the server, then cuts the connections that its clients left open. */
  stop(): Promise<void>;
}

const daySeconds = 86_400;

/** Returns a tenant that no other test uses. */
export function newTenant(): string {
  return `tenant-${randomUUID().slice(0, 8)}`;
}

/** Starts a server, with its store in memory unless the test names a folder. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const { host = "127.0.0.1", port = 0, tls, fallback, metricsAddress, pathPrefix, ...rest } = options;
  const tidings = await createTidings({
    ...(rest.store === undefined ? { data: ":memory:" } : {}),
    auth: { secret },
    drainMs: 0,
    ...rest,
  });
  const listen = {
    host,
    port,
    ...(tls ? { tls } : {}),
    ...(fallback ? { fallback } : {}),
    ...(metricsAddress ? { metricsAddress } : {}),
    ...(pathPrefix === undefined ? {} : { pathPrefix }),
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
      // The certificates of tests are self-signed.
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
