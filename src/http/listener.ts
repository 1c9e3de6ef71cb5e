/**
 * One port for HTTP/1.1, HTTP/2 and WebSocket upgrades. The HTTP/1.1 server listens, so that Node enforces its timeouts
 * and tracks its connections; connections that speak HTTP/2 (told by ALPN, or in cleartext by their first bytes) are
 * handed to an HTTP/2 server that does not listen itself.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { TimeoutOptions } from "../options.ts";
import { Http2Sessions } from "./http2-sessions.ts";
import { sniffHttp2 } from "./sniff.ts";

/**
 * Connections that the kernel holds while everyone comes back at once; it keeps to a bound of its own, too, such as
 * `net.core.somaxconn`. Whoever finds no place tries again after 1 s, 3 s, 7 s and so on.
 */
const backlog = 4_096;

/** A key and a certificate, in PEM. */
export interface TlsOptions {
  readonly key: string | Buffer;
  readonly cert: string | Buffer;
}

/** Where a server listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
  /** Such as `http://127.0.0.1:7300`. */
  readonly url: string;
}

/** What to serve, and how long to wait for it. */
export interface ListenerOptions {
  readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void;
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  readonly tls?: TlsOptions;
  readonly timeouts: Required<TimeoutOptions>;
}

/** A port. */
export interface Listener {
  /** Throws when the port is taken. */
  listen(host: string, port: number): Promise<Address>;
  /**
   * Answers of HTTP/1.1 end their connections from now on, so that few are left when it closes: a proxy may send the next
   * request at the very moment in which a connection that it kept is closed, and must not repeat it.
   */
  retire(): void;
  /** Takes no new connections, lets requests under way finish for `graceMs`, then cuts what is left. */
  close(graceMs: number): Promise<void>;
}

const maxHeaderSize = 16 * 1024;
/** How long connections that have not said anything may go on so when it closes, in ms. */
const silentMs = 500;
/** Streams of one HTTP/2 connection; a gateway opens more connections. */
const maxConcurrentStreams = 250;
/** MiB. Node's default of 10 refuses new streams on a connection that carries many slow ones. */
const maxSessionMemory = 64;

function ignore(): void {}

/** Makes a port; nothing happens before `listen`. */
export function createListener({ onRequest, onUpgrade, tls, timeouts }: ListenerOptions): Listener {
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
    // A peer that vanished without a word is found in 20 s: probes after 10 s of silence, ten of them, one a second.
    keepAlive: true,
    keepAliveInitialDelay: 10_000,
  };
  const http1 = tls
    ? createHttpsServer({ ...options, ...tls, ALPNProtocols: ["h2", "http/1.1"], handshakeTimeout: headersMs }, serve)
    : createHttpServer(options, serve);
  const http2 = createHttp2Server({ maxSessionMemory, settings: { maxConcurrentStreams } }, serve as never);
  const sessions = new Http2Sessions(http2, timeouts);
  http1.on("upgrade", onUpgrade);

  const ready = tls ? "secureConnection" : "connection";
  const [serveHttp1] = http1.listeners(ready) as ((socket: Socket) => void)[];
  const serveHttp2 = (socket: Socket): void => {
    // HTTP/1.1 servers accept half-open sockets; here a client that is gone would leave its streams behind.
    socket.allowHalfOpen = false;
    http2.emit("connection", socket);
  };
  /** Opened in advance, as browsers do, and not used yet: neither server knows of them. */
  const silent = new Set<Socket>();
  http1.removeAllListeners(ready);
  http1.on(ready, (socket: Socket) => {
    // A connection that breaks before anyone listens to it must not end the process.
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
  /** One for all: a listener for each would weigh as much as what it forgets. */
  function forget(this: Socket): void {
    silent.delete(this);
    sockets.delete(this);
  }
  http1.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", forget);
  });

  return {
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        http1.once("error", reject);
        http1.listen({ port, host, backlog }, () => {
          http1.removeListener("error", reject);
          const { port: taken } = http1.address() as AddressInfo;
          const name = host.includes(":") ? `[${host}]` : host;
          resolve({ host, port: taken, url: `${tls ? "https" : "http"}://${name}:${taken}` });
        });
      }),
    retire: () => {
      retired = true;
    },
    close: (graceMs) =>
      new Promise((resolve) => {
        retired = true;
        sessions.close();
        // Their first request may be on its way, and a proxy must not repeat it.
        const hush = setTimeout(() => {
          for (const socket of silent) socket.destroy();
        }, silentMs);
        const cut = setTimeout(() => {
          for (const socket of sockets) socket.destroy();
        }, graceMs);
        // Connections become idle one by one as their last answers end.
        const idle = setInterval(() => http1.closeIdleConnections(), 50);
        http1.close(() => {
          clearTimeout(cut);
          clearTimeout(hush);
          clearInterval(idle);
          resolve();
        });
        http1.closeIdleConnections();
      }),
  };
}
