/** The only file that knows ports, adapters and transports together. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { ConnectRouter } from "@connectrpc/connect";
import { MemoryBus } from "./adapters/memory/bus.ts";
import { MemoryPresence } from "./adapters/memory/presence.ts";
import { SqliteStore } from "./adapters/sqlite/store.ts";
import { loadDescriptors } from "./contract/descriptors.ts";
import { createValidate } from "./contract/validate.ts";
import { startCore, type Watch } from "./core/core.ts";
import { createAdapter } from "./http/adapter.ts";
import { createCors } from "./http/cors.ts";
import { type Address, createListener, type Listener, type TlsOptions } from "./http/listener.ts";
import { Counters } from "./metrics/counters.ts";
import { timedStore } from "./metrics/timed-store.ts";
import { resolveOptions, type Settings, type TidingsOptions } from "./options.ts";
import type { Ports } from "./ports/index.ts";
import { noMetrics } from "./ports/metrics.ts";
import type { CommitListener } from "./ports/store.ts";
import { noTracer } from "./ports/tracer.ts";
import { AuthorizeHook } from "./rooms/authorize-hook.ts";
import { allowedRoles } from "./rpc/gate.ts";
import { createHealth } from "./rpc/health.ts";
import { createRoutes, serviceNames } from "./rpc/routes.ts";
import { WebSocketBridge } from "./ws/bridge.ts";

/** Where to listen. */
export interface ListenOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 7300; 0 takes any free one. */
  readonly port?: number;
  /** Serve TLS, with HTTP/2 by ALPN. Default: cleartext, with HTTP/2 by prior knowledge. */
  readonly tls?: TlsOptions;
  /** Serve /metrics on an address of its own, for who may see it; with the option `metrics` of createTidings. */
  readonly metricsAddress?: { readonly host?: string; readonly port: number };
  /** Answers requests that are not Tidings'. Default: 404. */
  readonly fallback?: (request: IncomingMessage, response: ServerResponse) => void;
}

/** What a server listens on. */
export interface Listening extends Address {
  /** Such as `http://127.0.0.1:9464/metrics`. */
  readonly metrics?: string;
}

/** Figures in a format that scrapers read. */
export interface MetricsPage {
  readonly contentType: string;
  readonly text: string;
}

/** A running Tidings. */
export interface Tidings {
  /** All services as Connect routes, for an adapter of your own server (Node, Fastify, Express). */
  readonly routes: (router: ConnectRouter) => void;
  /** Takes an upgrade request of the WebSocket bridge at /ws on your own server; false when it is for another path. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  /** Serves everything on a port of its own. Throws when the port is taken. */
  listen(options?: ListenOptions): Promise<Listening>;
  /** The figures of this moment for Prometheus, to be served by your own server. Throws without the option `metrics`. */
  metrics(): Promise<MetricsPage>;
  /** Says that it is not ready, waits for `drainDelayMs`, tells all streams to go, finishes calls under way, and closes the store. Nothing that was answered is lost. */
  close(): Promise<void>;
}

/** How long calls under way may take when a server closes. */
const graceMs = 5_000;

/** Opens the store and starts Tidings. Throws when an option is wrong, or when the store is in use or damaged. */
export async function createTidings(options: TidingsOptions): Promise<Tidings> {
  const settings = resolveOptions(options);
  const { timeouts, allowedOrigins, drainDelayMs, clock, logger } = settings;
  const watch = await openWatch(settings);
  const registry = loadDescriptors();
  const ports = await openPorts(settings, watch.counters.committed);
  const store = settings.metrics ? timedStore(ports.store, watch.meter) : ports.store;
  const authorize = settings.authorize && new AuthorizeHook(settings.authorize, settings.clock);
  const core = await startCore({ ...ports, store }, createValidate(registry), settings, authorize, watch).catch(
    async (error) => {
      // They connect from the moment on in which they are made.
      await Promise.allSettled([watch.close(), ports.bus.close(), ports.presence.close(), ports.store.close()]);
      throw error;
    },
  );
  const health = createHealth([...serviceNames]);
  const routes = createRoutes(core, health, registry);
  const bridge = new WebSocketBridge(core);
  const listeners = new Set<Listener>();
  let draining = false;
  let closing: Promise<void> | undefined;

  const probe = (request: IncomingMessage, response: ServerResponse): boolean => {
    const ready = !draining;
    const [path] = (request.url ?? "").split("?", 1);
    if (path !== "/livez" && path !== "/healthz" && path !== "/readyz") return false;
    const ok = path !== "/readyz" || ready;
    response.writeHead(ok ? 200 : 503, { "content-type": "text/plain" }).end(ok ? "ok\n" : "draining\n");
    return true;
  };

  const close = async (): Promise<void> => {
    draining = true;
    health.shutdown();
    for (const listener of listeners) listener.retire();
    if (drainDelayMs > 0) await new Promise<void>((resolve) => clock.after(drainDelayMs, resolve));
    const stopped = [...listeners].map((listener) => listener.close(graceMs));
    await Promise.all([...stopped, core.drain()]);
    await core.close();
    await watch.close();
  };

  return {
    routes,
    handleUpgrade: (request, socket, head) => bridge.upgrade(request, socket, head),
    metrics: () => watch.page(),
    async listen({ host = "127.0.0.1", port = 7300, tls, fallback = notFound, metricsAddress } = {}) {
      const cors = createCors(allowedOrigins);
      const handler = createAdapter({
        routes,
        fallback: (request, response) => probe(request, response) || fallback(request, response),
        logger,
      });
      const listener = createListener({
        onRequest: (request, response) => cors(request, response) || handler(request, response),
        onUpgrade: (request, socket, head) => bridge.upgrade(request, socket, head) || socket.destroy(),
        ...(tls ? { tls } : {}),
        timeouts,
      });
      const metrics = metricsAddress && (await watch.serve(metricsAddress));
      const address = await listener.listen(host, port);
      listeners.add(listener);
      return metrics === undefined ? address : { ...address, metrics };
    },
    close: () => (closing ??= close()),
  };
}

/** What is watched, and how it is shown. */
interface Watching extends Watch {
  page(): Promise<MetricsPage>;
  serve(at: { readonly host?: string; readonly port: number }): Promise<string>;
  close(): Promise<void>;
}

/** The drivers are loaded only where they are used. */
async function openWatch({ metrics, tracing }: Settings): Promise<Watching> {
  const tracer = tracing ? new (await import("./adapters/otlp/tracer.ts")).OtlpTracer(tracing) : noTracer;
  const prometheus = metrics ? (await import("./adapters/prometheus/prometheus.ts")).openPrometheus() : undefined;
  const meter = prometheus?.metrics ?? noMetrics;
  const off = async (): Promise<never> => {
    throw new TypeError("metrics: set the option metrics of createTidings, so that there is something to show");
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

/** The adapters that the options name. Drivers are loaded only where they are used. */
async function openPorts(settings: Settings, committed: CommitListener): Promise<Ports> {
  const { data = "", store: url, bus, retention, logger } = settings;
  const keep = retention.count;
  if (url === undefined) {
    const store = new SqliteStore({ folder: data, keep }, committed);
    return { store, bus: new MemoryBus(), presence: new MemoryPresence() };
  }
  const { MongoStore } = await import("./adapters/mongodb/store.ts");
  const store = new MongoStore({ url, keep, warn: (sentence) => logger?.warn(sentence), committed });
  if (bus === undefined) {
    logger?.warn("no bus: this must be the only node on its store, since another one would not hear of what is new");
    return { store, bus: new MemoryBus(), presence: new MemoryPresence() };
  }
  const [{ RedisBus }, { RedisPresence }] = await Promise.all([
    import("./adapters/redis/bus.ts"),
    import("./adapters/redis/presence.ts"),
  ]);
  return { store, bus: new RedisBus({ url: bus, logger }), presence: new RedisPresence({ url: bus, logger }) };
}

function notFound(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(404, { "content-type": "text/plain" }).end("not found\n");
}
