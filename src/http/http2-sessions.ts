import { constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { TimeoutOptions } from "../options.ts";

/**
 * Time between pings, in ms. Node's HTTP/2 servers never ping, so a peer that vanished without FIN would stay for ever.
 */
const pingMs = 20_000;

/**
 * Enforces the timeouts on HTTP/2 that Node enforces on HTTP/1.1 only: for first headers, whole requests, idle and dead
 * connections.
 */
export class Http2Sessions {
  readonly #timeouts: Required<TimeoutOptions>;
  readonly #sessions = new Set<ServerHttp2Session>();

  /** Watches the sessions of a server. */
  constructor(server: Http2Server, timeouts: Required<TimeoutOptions>) {
    this.#timeouts = timeouts;
    server.on("session", (session) => this.#watch(session));
    server.on("stream", (stream: ServerHttp2Stream) => this.#limitRequest(stream));
    // The peer causes the errors of a session, which then closes by itself.
    server.on("sessionError", () => {});
  }

  /** Sends GOAWAY to all peers: open streams may finish, new ones need another connection. */
  close(): void {
    for (const session of this.#sessions) session.close();
  }

  #watch(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.on("error", () => {});
    const { headersMs, idleMs } = this.#timeouts;
    const first = setTimeout(() => session.destroy(), headersMs);
    session.once("stream", () => clearTimeout(first));
    session.setTimeout(idleMs, () => this.#closeIdle(session));
    const pings = setInterval(() => this.#ping(session), pingMs).unref();
    session.once("close", () => {
      this.#sessions.delete(session);
      clearTimeout(first);
      clearInterval(pings);
    });
  }

  /**
   * Closes a session without streams. An open stream keeps its connection even if its heartbeats are rarer than idleMs.
   */
  #closeIdle(session: ServerHttp2Session): void {
    const { outboundQueueSize = 0 } = session.state;
    if (this.#open(session) === 0 && outboundQueueSize === 0) session.close();
  }

  readonly #streams = new WeakMap<ServerHttp2Session, number>();

  #open(session: ServerHttp2Session): number {
    return this.#streams.get(session) ?? 0;
  }

  #limitRequest(stream: ServerHttp2Stream): void {
    // The session is missing when the connection broke with the request: the stream was destroyed before this event.
    const session = stream.session as ServerHttp2Session | undefined;
    if (!session) return;
    this.#streams.set(session, this.#open(session) + 1);
    const late = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), this.#timeouts.requestMs);
    stream.once("end", () => clearTimeout(late));
    stream.once("close", () => {
      clearTimeout(late);
      this.#streams.set(session, this.#open(session) - 1);
    });
  }

  /** Pings the peer, and cuts the session when the pong has not come before the next ping is due. */
  #ping(session: ServerHttp2Session): void {
    if (session.destroyed) return;
    const dead = setTimeout(() => session.destroy(), pingMs).unref();
    session.ping(() => clearTimeout(dead));
  }
}
