/**
 * One port for HTTP/1.1, HTTP/2 and WebSocket upgrades. The HTTP/1.1 server listens, so that Node enforces its timeouts
 * and tracks its connections. ALPN, or in cleartext the first bytes, show which connections
 * speak HTTP/2: these are handed to an HTTP/2 server that does not listen itself.
 */
import cluster from "node:cluster";
import { chmodSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import type { AddressInfo, ListenOptions, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { CutReason } from "../metrics/counters.ts";
import type { TimeoutOptions } from "../options.ts";
import type { AddressList } from "../util/address-list.ts";
import { declineUpgrade } from "./declined-upgrade.ts";
import { Http2Sessions } from "./http2-sessions.ts";
import { ResetLimit } from "./reset-limit.ts";
import { sniffHttp2 } from "./sniff.ts";
import { freeSocketPath } from "./unix-socket.ts";

/**
 * Connections that the kernel queues while all clients return at once; the kernel has a limit of its own, too, such as
 * `net.core.somaxconn`. A client that the queue does not take retries after 1 s, 3 s, 7 s and so on.
 */
const backlog = 4_096;

/** The key and certificate of a server, in PEM. */
export interface TlsOptions {
  /** The private key. */
  readonly key: string | Buffer;
  /** The certificate, which those of intermediate authorities may follow. */
  readonly cert: string | Buffer;
}

/** The address at which a server listens. */
export interface Address {
  /** The host name or IP address that the server was given; the path of a unix socket. */
  readonly host: string;
  /** The port, also when the kernel chose it; 0 for a unix socket. */
  readonly port: number;
  /** The URL, such as `http://127.0.0.1:7300`, or `unix:` and the path of a unix socket. */
  readonly url: string;
}

/** A socket without a port. */
export type SocketOptions =
  | {
      /** The path of a unix socket. A file that a server left behind there is replaced. */
      readonly path: string;
      /** The mode of its file: who may connect needs the right to write. Default 0o660. */
      readonly mode?: number;
    }
  | {
      /** The descriptor of a socket that another program has opened and bound, such as systemd. */
      readonly fd: number;
    };

/** What a listener serves, and its timeouts. */
export interface ListenerOptions {
  /** Handles requests of HTTP/1.1 and HTTP/2. */
  readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void;
  /** Takes upgrade requests of HTTP/1.1. Returns false for one that `onRequest` is to answer, as if it asked for none. */
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean;
  /** Serves TLS; without it, cleartext. */
  readonly tls?: TlsOptions;
  /** The timeouts of connections and requests. */
  readonly timeouts: Required<TimeoutOptions>;
  /** Rapid resets that one HTTP/2 connection may send at once; a tenth of it each second. Default: no limit. */
  readonly rapidResets?: number;
  /** Proxies, of which the node refuses no connection. Default: none. */
  readonly trustedProxies?: AddressList;
  /** Called for each connection that is cut because of its peer's behaviour. */
  readonly onCut?: (reason: CutReason) => void;
}

/** One port of a server. */
export interface Listener {
  /**
   * Starts to listen; port 0 means any free port. With `reusePort` the kernel spreads connections over all listeners of the
   * port that set it. Rejects when the port is taken.
   */
  listen(host: string, port: number, reusePort?: boolean): Promise<Address>;
  /** As `listen`, on a unix socket or on a socket that is open already. Rejects when the path is taken. */
  listenOn(socket: SocketOptions): Promise<Address>;
  /** Serves new connections with this key and certificate; without effect on cleartext. Throws when they do not match. */
  renew(tls: TlsOptions): void;
  /**
   * From now on, ends each HTTP/1.1 connection with its next response, so that few are left when the listener closes. A
   * proxy that keeps a connection may send a request at the moment when it is closed, and must not repeat that request.
   */
  retire(): void;
  /** Stops accepting connections, lets running requests finish for `graceMs`, then cuts the remaining connections. */
  close(graceMs: number): Promise<void>;
}

/** Bytes of the headers of an HTTP/1.1 request, with its URL. */
const maxHeaderSize = 16 * 1024;
/** How long a connection without a request may stay while the listener closes, in ms. */
const silentMs = 500;
/** Streams of one HTTP/2 connection; a gateway that needs more opens more connections. */
const maxConcurrentStreams = 250;
/**
 * Memory of one HTTP/2 connection, in MiB. Node's default of 10 refuses new streams on a connection with many slow
 * ones.
 */
const maxSessionMemory = 64;

function ignore(): void {}

/** Creates a listener, which does nothing before `listen`. */
export function createListener({
  onRequest,
  onUpgrade,
  tls,
  timeouts,
  rapidResets = Number.MAX_SAFE_INTEGER,
  trustedProxies,
  onCut = ignore,
}: ListenerOptions): Listener {
  const { headersMs, requestMs, idleMs } = timeouts;
  let retired = false;
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    if (retired && request.httpVersionMajor === 1) response.setHeader("Connection", "close");
    onRequest(request, response);
  };
  const options = {
    maxHeaderSize,
    headersTimeout: headersMs,
    requestTimeout: requestMs,
    keepAliveTimeout: idleMs,
    connectionsCheckingInterval: Math.min(1000, headersMs),
    noDelay: true,
    // Finds a peer that vanished without FIN within 20 s: after 10 s of silence, ten probes, one a second.
    keepAlive: true,
    keepAliveInitialDelay: 10_000,
  };
  const http1 = tls
    ? createHttpsServer({ ...options, ...tls, ALPNProtocols: ["h2", "http/1.1"], handshakeTimeout: headersMs }, serve)
    : createHttpServer(options, serve);
  const http2 = createHttp2Server({ maxSessionMemory, settings: { maxConcurrentStreams } });
  const resets = new ResetLimit(rapidResets);
  const sessions = new Http2Sessions(http2, timeouts, resets, () => onCut("rapid_resets"));
  http2.on("request", (request, response) => {
    // A request that was reset before Node announced it costs nothing more (CVE-2023-44487).
    if (!request.stream.destroyed) serve(request as never, response as never);
  });

  const ready = tls ? "secureConnection" : "connection";
  const [serveHttp1] = http1.listeners(ready) as ((socket: Socket) => void)[];
  http1.on("upgrade", (request, socket, head) => {
    if (onUpgrade(request, socket, head)) return;
    declineUpgrade(request, socket, head, () => serveHttp1?.call(http1, socket as Socket));
  });
  const serveHttp2 = (socket: Socket): void => {
    if (!trustedProxies?.has(socket.remoteAddress) && !resets.admits(socket.remoteAddress)) {
      onCut("watched_address");
      return void socket.destroy();
    }
    // HTTP/1.1 servers accept half-open sockets. On HTTP/2 a client that is gone would leave its streams behind.
    socket.allowHalfOpen = false;
    http2.emit("connection", socket);
  };
  /** Connections without a request yet, as browsers open in advance: neither server knows them. */
  const silent = new Set<Socket>();
  http1.removeAllListeners(ready);
  http1.on(ready, (socket: Socket) => {
    // Without a listener, an error of a connection that breaks now would end the process.
    socket.on("error", ignore);
    if (tls) return (socket as TLSSocket).alpnProtocol === "h2" ? serveHttp2(socket) : serveHttp1?.call(http1, socket);
    silent.add(socket);
    sniffHttp2(socket, headersMs, (isHttp2) => {
      silent.delete(socket);
      if (isHttp2) serveHttp2(socket);
      else serveHttp1?.call(http1, socket);
    });
  });
  const sockets = new Set<Socket>();
  /** One function for all sockets: a closure for each would take as much memory as the entries that it deletes. */
  function forget(this: Socket): void {
    silent.delete(this);
    sockets.delete(this);
  }
  http1.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", forget);
  });

  const bind = (at: ListenOptions | { readonly fd: number }): Promise<AddressInfo | string> =>
    new Promise((resolve, reject) => {
      http1.once("error", reject);
      http1.listen({ ...at, backlog }, () => {
        http1.removeListener("error", reject);
        resolve(http1.address() as AddressInfo | string);
      });
    });
  const addressOf = (bound: AddressInfo | string, given?: string): Address => {
    if (typeof bound === "string") return { host: bound, port: 0, url: `unix:${bound}` };
    const host = given ?? bound.address;
    const name = host.includes(":") ? `[${host}]` : host;
    return { host, port: bound.port, url: `${tls ? "https" : "http"}://${name}:${bound.port}` };
  };

  return {
    listen: async (host, port, reusePort = false) => addressOf(await bind({ host, port, reusePort }), host),
    listenOn: async (socket) => {
      if ("fd" in socket) return addressOf(await bind(socket));
      const { path, mode = 0o660 } = socket;
      // The workers of a cluster share the socket of the first process, which has freed the path.
      if (!cluster.isWorker) await freeSocketPath(path);
      const bound = await bind({ path });
      chmodSync(path, mode);
      return addressOf(bound);
    },
    renew: (fresh) => {
      if (tls) (http1 as HttpsServer).setSecureContext(fresh);
    },
    retire: () => {
      retired = true;
    },
    close: (graceMs) =>
      new Promise((resolve) => {
        retired = true;
        sessions.close();
        // Wait for these: their first request may be on its way, and a proxy must not repeat it.
        const cutSilent = setTimeout(() => {
          for (const socket of silent) socket.destroy();
        }, silentMs);
        const cut = setTimeout(() => {
          for (const socket of sockets) socket.destroy();
        }, graceMs);
        // Connections become idle one by one, as their last responses end.
        const idle = setInterval(() => http1.closeIdleConnections(), 50);
        // After the event loop has accepted what waits in the backlog: the kernel resets the rest.
        setImmediate(() => {
          http1.close(() => {
            clearTimeout(cut);
            clearTimeout(cutSilent);
            clearInterval(idle);
            resolve();
          });
          http1.closeIdleConnections();
        });
      }),
  };
}
