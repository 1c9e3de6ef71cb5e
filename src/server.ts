/** Puts a server together: the only file that knows ports, adapters and transports at once. */

import type { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { createSecureContext } from "node:tls";
import type { ConnectRouter } from "@connectrpc/connect";
import type { Logger } from "pino";
import { MemoryBus } from "./adapters/memory/bus.ts";
import { MemoryPresence } from "./adapters/memory/presence.ts";
import { MemoryRateLimiter } from "./adapters/memory/rate-limiter.ts";
import type { Prometheus } from "./adapters/prometheus/prometheus.ts";
import { exposureOf } from "./adapters/sqlite/file-modes.ts";
import { SqliteStore } from "./adapters/sqlite/store.ts";
import { openThreadPorts } from "./adapters/threads/ports.ts";
import { resolveSecrets } from "./auth-options.ts";
import { loadDescriptors } from "./contract/descriptors.ts";
import { createValidate } from "./contract/validate.ts";
import { startCore, type ThreadShare, type Watch } from "./core/core.ts";
import { StoreWatch } from "./core/store-watch.ts";
import { FeedReads } from "./durable-streams/feed-reads.ts";
import { createAdapter, joinCredentials } from "./http/adapter.ts";
import { createCors } from "./http/cors.ts";
import { declineUpgrade, isWebSocketRequest } from "./http/declined-upgrade.ts";
import { embeddedRoutes } from "./http/embedded-routes.ts";
import { InFlight } from "./http/in-flight.ts";
import { type Address, createListener, type Listener, type SocketOptions, type TlsOptions } from "./http/listener.ts";
import { createOpenApi, noOpenApi } from "./http/openapi.ts";
import { prefixStripper } from "./http/path-prefix.ts";
import { Counters } from "./metrics/counters.ts";
import { timedStore } from "./metrics/timed-store.ts";
import { checkKeys, checkOptionKeys, type KeysOf } from "./option-keys.ts";
import { resolveOptions, type Settings, type TidingsOptions, type TracingOptions } from "./options.ts";
import type { Bus } from "./ports/bus.ts";
import type { Ports } from "./ports/index.ts";
import { noMetrics, unlabelled } from "./ports/metrics.ts";
import type { Presence } from "./ports/presence.ts";
import type { RateLimiter } from "./ports/rate-limiter.ts";
import type { CommitListener, Store } from "./ports/store.ts";
import { noTracer, type Tracer } from "./ports/tracer.ts";
import { AuthorizeHook } from "./rooms/authorize-hook.ts";
import { allowedRoles } from "./rpc/gate.ts";
import { createHealth } from "./rpc/health.ts";
import { PublicStreams } from "./rpc/public-streams.ts";
import { createRoutes, largeAnswers, serviceNames } from "./rpc/routes.ts";
import { SubscribeHandler } from "./rpc/short-subscribe.ts";
import { createUnaryHandlers } from "./rpc/unary.ts";
import type { ThreadParts } from "./shared-process.ts";
import { FirstOfThreads } from "./util/first-of-threads.ts";
import { guard, type Report, warn } from "./util/guard.ts";
import { importWith } from "./util/packages.ts";
import { SharedProcessCounts } from "./util/process-counts.ts";
import { WebSocketBridge } from "./ws/bridge.ts";

/** Where a server listens, and how. */
export interface ListenOptions {
  /** The address to bind. Default 127.0.0.1. */
  readonly host?: string;
  /** The port to bind; 0 takes any free one. Default 7300. */
  readonly port?: number;
  /**
   * Shares the port with further servers of this user that set this too, such as those of other threads: the kernel spreads
   * new connections over them (SO_REUSEPORT). Only some systems have it, Linux among them. Default false.
   */
  readonly reusePort?: boolean;
  /** A unix socket, or a socket that is open already, instead of `host` and `port`. */
  readonly socket?: SocketOptions;
  /** Key and certificate for TLS, with HTTP/2 by ALPN. Default: cleartext, with HTTP/2 by prior knowledge. */
  readonly tls?: TlsOptions;
  /** Serves /metrics on an address of its own, out of reach of callers. Needs the option `metrics` of createTidings. */
  readonly metricsAddress?: { readonly host?: string; readonly port: number };
  /** A path below which everything is served too, such as `/push`, for a proxy that does not strip it. Default: none. */
  readonly pathPrefix?: string;
  /** Answers requests for other paths than Tidings' own. Default: 404. */
  readonly fallback?: (request: IncomingMessage, response: ServerResponse) => void;
}

/** The values that a running server can replace. */
export interface ReloadOptions {
  /** The secrets, as in `auth.secret`. Default: those in use. It cannot replace a key set, which is fetched by itself. */
  readonly secret?: string | readonly string[];
  /** Key and certificate, as in ListenOptions. Default: those in use. */
  readonly tls?: TlsOptions;
}

/** The addresses of a server that listens. */
export interface Listening extends Address {
  /** URL of the metrics, such as `http://127.0.0.1:9464/metrics`. */
  readonly metrics?: string;
}

/** Metrics in a format that scrapers read. */
export interface MetricsPage {
  /** The value of the response's `content-type` header. */
  readonly contentType: string;
  /** The body of the response. */
  readonly text: string;
}

/** A running server. */
export interface Tidings {
  /**
   * Handles a request in a server of your own, with CORS, the probes and `/openapi.json`. Returns false, and does nothing, for
   * a path that is not Tidings' own. Call it before a parser reads the body.
   */
  handleRequest(request: IncomingMessage, response: ServerResponse): boolean;
  /**
   * Serves the WebSocket bridge on the upgrades of a server of your own. Other upgrades are left to that server's other
   * listeners, or answered as plain requests where there are none. Calls with several Authorization headers, of which Node
   * would drop all but the first, are refused.
   */
  attach(server: EventEmitter): void;
  /**
   * Takes over an upgrade request for the WebSocket bridge at /ws, at any depth. Returns false for another WebSocket; a
   * request that wants another protocol, such as h2c, is answered as a plain one. `attach` calls it.
   */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  /**
   * Registers all services as Connect routes, for an adapter of Connect, with CORS and the probes `/livez` and `/readyz`
   * unless the option `probes` is false. Without `attach` an adapter sees the first Authorization header only, and it knows
   * nothing of `trustedProxies`: prefer handleRequest where you can.
   */
  readonly routes: (router: ConnectRouter) => void;
  /** Serves everything on a port of its own. Rejects when the port is in use. */
  listen(options?: ListenOptions): Promise<Listening>;
  /**
   * Replaces secrets and certificates while the server runs. New connections get the new certificate, and open ones go on.
   * Streams whose tokens were signed by a secret that is no longer given end. Throws, and changes nothing, when a value is
   * wrong.
   */
  reload(fresh: ReloadOptions): void;
  /** Collects the metrics for Prometheus, for an endpoint in a server of your own. Rejects without the option `metrics`. */
  metrics(): Promise<MetricsPage>;
  /**
   * Resolves to the reason once the store has failed for good, and stays pending otherwise. All calls fail from then on,
   * and `/livez` answers 503: close the server, and end the process or create another server.
   */
  readonly failed: Promise<Error>;
  /**
   * Drains and stops: reports that it is not ready, waits for `drainDelayMs`, ends all streams with a go_away, finishes
   * calls in flight for at most 5 s, and closes the ports, also those that were given as objects. Nothing that was
   * answered is lost. Calling it again returns the same promise.
   */
  close(): Promise<void>;
}

/** The probes of a server of one's own. */
const ownProbes: readonly string[] = ["/livez", "/readyz", "/healthz"];
const listenKeys: KeysOf<ListenOptions> = {
  host: true,
  port: true,
  reusePort: true,
  socket: true,
  tls: true,
  metricsAddress: true,
  pathPrefix: true,
  fallback: true,
};

/** How long calls in flight may take when a server closes. */
const graceMs = 5_000;

/**
 * Opens the store and starts a server. Rejects with a TypeError or RangeError when an option is wrong, and with an Error
 * when the store is in use or damaged, or when an option needs a package that is not installed.
 */
export function createTidings(options: TidingsOptions): Promise<Tidings> {
  return createServer(options);
}

/** As `createTidings`, in one of several threads of a process that has opened the store of the options. */
export function createThreadServer(options: TidingsOptions, parts: ThreadParts): Promise<Tidings> {
  const { logger } = options;
  return createServer(options, {
    open: (committed) => openThreadPorts(parts.link, { committed, logger }),
    processCounts: new SharedProcessCounts(parts.processCounts, parts.index),
    first: new FirstOfThreads(parts.first),
  });
}

async function createServer(
  options: TidingsOptions,
  shared?: Required<ThreadShare> & { readonly open: (committed: CommitListener) => Ports },
): Promise<Tidings> {
  checkOptionKeys(options);
  const settings = resolveOptions(options);
  const { timeouts, rapidResets, drainDelayMs, clock, logger } = settings;
  const watch = await openWatch(settings);
  const registry = loadDescriptors();
  const { committed } = watch.counters;
  const processCounts = shared?.processCounts;
  const ports = shared ? shared.open(committed) : await openPorts(settings, committed);
  const store = settings.metrics ? timedStore(ports.store, watch.meter) : ports.store;
  const authorize = settings.authorize && new AuthorizeHook(settings.authorize, settings.clock);
  const report: Report = logger ? (error) => logger.error({ err: error }, "a callback failed") : warn;
  const core = await startCore({ ...ports, store }, createValidate(registry), settings, authorize, watch, shared).catch(
    async (error) => {
      // Bus and presence connect when they are created, so they must be closed although nothing started.
      const { bus, presence, limiter } = ports;
      const opened = [watch, bus, presence, ports.store, ...(limiter ? [limiter] : [])];
      await Promise.allSettled(opened.map((each) => each.close()));
      throw error;
    },
  );
  const { data } = settings;
  const exposure = shared || data === undefined || data === ":memory:" ? undefined : exposureOf(data);
  if (exposure !== undefined) logger?.warn(exposure);
  const publicStreams = new PublicStreams({
    perNode: settings.publicStreams,
    processCounts,
    clock,
    random: settings.random,
    refused: (error) => watch.counters.failed(error),
  });
  const figure = { name: "tidings_public_streams", help: "Open streams that need no token.", labels: unlabelled };
  watch.meter.read(figure, "gauge", () => [[{}, publicStreams.open]]);
  const health = createHealth([...serviceNames], publicStreams);
  const plainRoutes = createRoutes(core, health, registry, publicStreams);
  const bridge = new WebSocketBridge(core);
  const listeners = new Set<Listener>();
  let draining = false;
  let closing: Promise<void> | undefined;

  const storeWatch = new StoreWatch(ports.store, logger, (isUsable) => {
    for (const service of ["", ...serviceNames]) health.set(service, isUsable);
  });

  /** Why a probe fails; undefined if it does not. Callers are strangers, so the details are in the log alone. */
  const problem = (path: string): string | undefined => {
    if (storeWatch.hasFailed) return "the store has failed";
    if (path !== "/readyz") return undefined;
    if (draining) return "draining";
    return storeWatch.isUsable ? undefined : "the store cannot be used";
  };

  const probe = (paths: readonly string[], request: IncomingMessage, response: ServerResponse): boolean => {
    const [path = ""] = (request.url ?? "").split("?", 1);
    if (!paths.includes(path)) return false;
    const found = problem(path);
    response.writeHead(found ? 503 : 200, { "content-type": "text/plain" }).end(`${found ?? "ok"}\n`);
    return true;
  };

  const embeddedProbes = settings.probes ? ["/livez", "/readyz"] : [];
  const feedReads = new FeedReads(core);
  const cors = createCors(settings, (request) => feedReads.cors(request));
  const inFlight = new InFlight(
    settings.inFlight,
    timeouts.stallMs,
    (reason) => watch.counters.cut(reason),
    processCounts,
  );
  const readBytes = (name: string, help: string, read: () => number) =>
    watch.meter.read({ name, help, labels: unlabelled }, "gauge", () => [[{}, read()]]);
  readBytes("tidings_unread_answer_bytes", "Bytes of answers that callers have not read.", () => inFlight.answerBytes);
  readBytes("tidings_unfinished_body_bytes", "Bytes of request bodies that have not arrived whole.", () => {
    return inFlight.bodyBytes;
  });
  const openApi = settings.openapi ? createOpenApi(inFlight) : noOpenApi;
  const subscribeHandler = new SubscribeHandler(core);
  const adapter = createAdapter({
    largeAnswers,
    resets: (path, connection) => publicStreams.resets(path, connection),
    inFlight,
    routes: plainRoutes,
    paths: feedReads,
    short: new Map([...createUnaryHandlers(core), [subscribeHandler.path, subscribeHandler]]),
    fallback: notFound,
    trustedProxies: settings.trustedProxies,
    logger,
  });

  /** Requests come from an event of a server, where an error would end the process. */
  const guarded = (response: ServerResponse, serve: () => void): void =>
    guard((error) => {
      report(error);
      response.destroy();
    }, serve);

  const handleRequest = (request: IncomingMessage, response: ServerResponse): boolean => {
    const serve = openApi.serves(request) ? openApi.answer : adapter;
    if (serve === adapter && !adapter.serves(request)) return probe(embeddedProbes, request, response);
    guarded(response, () => void (cors(request, response) || serve(request, response)));
    return true;
  };

  /** Upgrades, too, come from an event. */
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): boolean => {
    let taken = true;
    guard(
      (error) => {
        report(error);
        socket.destroy();
      },
      () => {
        taken = bridge.upgrade(request, socket, head);
      },
    );
    return taken;
  };

  const handleUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): boolean => {
    if (upgrade(request, socket, head)) return true;
    return !isWebSocketRequest(request) && serveAgain(request, socket, head);
  };

  const attach = (server: EventEmitter): void => {
    // An adapter of Connect sees what Node has left of the headers, so repeated credentials are joined before.
    server.prependListener("request", (request: IncomingMessage) => {
      if (request.url?.includes("/tidings.v1.")) joinCredentials(request);
    });
    server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (handleUpgrade(request, socket, head) || server.listenerCount("upgrade") > 1) return;
      if (!serveAgain(request, socket, head)) socket.destroy();
    });
  };

  const reload = (fresh: ReloadOptions): void => {
    checkKeys("reload", fresh, { secret: true, tls: true });
    const { secret, tls } = fresh;
    // Check everything first, so that nothing changes when one value is wrong.
    if (secret !== undefined && settings.auth.jwksUrl !== undefined) {
      throw new TypeError("secret: this server verifies tokens with a key set");
    }
    const secrets = secret === undefined ? undefined : resolveSecrets(secret);
    if (tls) createSecureContext(tls);
    if (tls) for (const listener of listeners) listener.renew(tls);
    if (secrets) core.replaceSecrets(secrets);
  };

  const close = async (): Promise<void> => {
    draining = true;
    health.shutdown();
    for (const listener of listeners) listener.retire();
    if (drainDelayMs > 0) await new Promise<void>((resolve) => clock.after(drainDelayMs, resolve));
    const stopped = [...listeners].map((listener) => listener.close(graceMs));
    await Promise.all([...stopped, core.drain()]);
    storeWatch.close();
    await core.close();
    await watch.close();
  };

  return {
    handleRequest,
    attach,
    handleUpgrade,
    routes: embeddedRoutes({
      routes: plainRoutes,
      allowedOrigins: settings.allowedOrigins,
      probes: embeddedProbes,
      problem,
    }),
    reload,
    metrics: () => watch.page(),
    failed: storeWatch.failed,
    async listen(options = {}) {
      checkKeys("listen", options, listenKeys);
      const {
        host = "127.0.0.1",
        port = 7300,
        reusePort = false,
        tls,
        fallback = notFound,
        metricsAddress,
        pathPrefix = "",
        socket,
      } = options;
      const strip = prefixStripper(pathPrefix);
      const listener = createListener({
        onRequest: (request, response) => {
          strip(request);
          guarded(response, () => {
            if (cors(request, response)) return;
            if (adapter.serves(request)) adapter(request, response);
            else if (openApi.serves(request)) openApi.answer(request, response);
            else if (!probe(ownProbes, request, response)) fallback(request, response);
          });
        },
        onUpgrade: (request, socket, head) => {
          strip(request);
          return upgrade(request, socket, head);
        },
        ...(tls ? { tls } : {}),
        timeouts,
        rapidResets,
        trustedProxies: settings.trustedProxies,
        onCut: (reason) => watch.counters.cut(reason),
      });
      const metrics = metricsAddress && (await watch.serve(metricsAddress));
      const address = await (socket ? listener.listenOn(socket) : listener.listen(host, port, reusePort));
      listeners.add(listener);
      return metrics === undefined ? address : { ...address, metrics };
    },
    close: () => (closing ??= close()),
  };
}

/** Metrics and traces of a server, and access to them. */
interface Watching extends Watch {
  page(): Promise<MetricsPage>;
  serve(at: { readonly host?: string; readonly port: number }): Promise<string>;
  close(): Promise<void>;
}

/** Metrics and traces as the options ask. */
async function openWatch({ metrics, tracing }: Settings): Promise<Watching> {
  const tracer = tracing ? await openTracer(tracing) : noTracer;
  const prometheus = metrics ? await openMetrics() : undefined;
  const meter = prometheus?.metrics ?? noMetrics;
  const off = async (): Promise<never> => {
    throw new TypeError("metrics: set the option metrics of createTidings first");
  };
  return {
    meter,
    tracer,
    counters: new Counters(meter, Object.keys(allowedRoles)),
    page: prometheus?.page ?? off,
    serve: prometheus?.serve ?? off,
    close: async () => void (await Promise.all([prometheus?.close(), tracer.close()])),
  };
}

// Adapters are imported only where they are used: their packages may not be installed.

async function openTracer(tracing: Required<TracingOptions>): Promise<Tracer> {
  const packages = ["api", "exporter-trace-otlp-http", "resources", "sdk-trace-base"];
  const { OtlpTracer } = await importWith(
    "tracing",
    packages.map((name) => `@opentelemetry/${name}`),
    () => import("./adapters/otlp/tracer.ts"),
  );
  return new OtlpTracer(tracing);
}

async function openMetrics(): Promise<Prometheus> {
  const { openPrometheus } = await importWith(
    "metrics",
    ["prom-client"],
    () => import("./adapters/prometheus/prometheus.ts"),
  );
  return openPrometheus();
}

/** The ports that the options give or name. Those that are opened here are closed with the server, and so are the others. */
async function openPorts(settings: Settings, committed: CommitListener): Promise<Ports> {
  const { store, bus, presence, limiter, clock, logger } = settings;
  const ports = {
    store: typeof store === "object" ? store : await openStore(settings, committed),
    bus: typeof bus === "string" ? await openBus(bus, logger) : (bus ?? new MemoryBus()),
    presence: presence ?? (typeof bus === "string" ? await openPresence(bus, logger) : new MemoryPresence()),
    limiter: limiter ?? (typeof bus === "string" ? await openLimiter(bus, settings) : new MemoryRateLimiter(clock)),
  };
  if (typeof store === "string" && bus === undefined) {
    logger?.warn("no bus: this must be the only node on its store, because nodes learn of new messages by the bus");
  }
  if (typeof bus === "object" && presence === undefined) {
    logger?.warn("no presence: this node counts its own connections only, and admits to rooms by them alone");
  }
  return ports;
}

async function openStore({ data = "", store, retention, logger }: Settings, committed: CommitListener): Promise<Store> {
  const keep = retention.count;
  if (typeof store !== "string") return new SqliteStore({ folder: data, keep, logger }, committed);
  const { MongoStore } = await importWith("store", ["mongodb"], () => import("./adapters/mongodb/store.ts"));
  return new MongoStore({ url: store, keep, warn: (sentence) => logger?.warn(sentence), committed });
}

async function openBus(url: string, logger: Logger | undefined): Promise<Bus> {
  const { RedisBus } = await importWith("bus", ["ioredis"], () => import("./adapters/redis/bus.ts"));
  return new RedisBus({ url, logger });
}

async function openPresence(url: string, logger: Logger | undefined): Promise<Presence> {
  const { RedisPresence } = await importWith("bus", ["ioredis"], () => import("./adapters/redis/presence.ts"));
  return new RedisPresence({ url, logger });
}

/** Gives a request that Node raised as an upgrade back to its server, as a plain one. Returns false where it has none. */
function serveAgain(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
  const { server, encrypted } = socket as { server?: EventEmitter; encrypted?: boolean };
  const event = encrypted ? "secureConnection" : "connection";
  if (!server?.listenerCount(event)) return false;
  declineUpgrade(request, socket, head, () => void server.emit(event, socket));
  return true;
}

async function openLimiter(url: string, { clock, logger }: Settings): Promise<RateLimiter> {
  const { RedisRateLimiter } = await importWith("bus", ["ioredis"], () => import("./adapters/redis/rate-limiter.ts"));
  return new RedisRateLimiter({ url, clock, logger });
}

function notFound(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(404, { "content-type": "text/plain" }).end("not found\n");
}
