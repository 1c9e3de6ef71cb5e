import { constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { TimeoutOptions } from "../options.ts";

/** Node's HTTP/2 servers never ping, so a peer that vanished without FIN would stay for ever. */
const pingMs = 20_000;

/** Enforces on HTTP/2 what Node enforces on HTTP/1.1 alone: first headers, whole requests, idle and dead connections. */
export class Http2Sessions {
  readonly #timeouts: Required<TimeoutOptions>;
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(server: Http2Server, timeouts: Required<TimeoutOptions>) {
    this.#timeouts = timeouts;
    server.on("session", (session) => this.#watch(session));
    server.on("stream", (stream: ServerHttp2Stream) => this.#limitRequest(stream));
    // A session's error is its peer's; it closes by itself.
    server.on("sessionError", () => {});
  }

  /** Says GOAWAY: streams under way may finish, new ones go elsewhere. */
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

  /** A stream that is silent for longer than idleMs keeps its connection: the heartbeats of others may be rarer. */
  #closeIdle(session: ServerHttp2Session): void {
    const { outboundQueueSize = 0 } = session.state;
    if (this.#open(session) === 0 && outboundQueueSize === 0) session.close();
  }

  readonly #streams = new WeakMap<ServerHttp2Session, number>();

  #open(session: ServerHttp2Session): number {
    return this.#streams.get(session) ?? 0;
  }

  #limitRequest(stream: ServerHttp2Stream): void {
    // None where the connection broke with the request: the stream is destroyed before it is told of.
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

  /** One ping in flight: when the next is due and the last is not answered, the peer is dead. */
  #ping(session: ServerHttp2Session): void {
    if (session.destroyed) return;
    const dead = setTimeout(() => session.destroy(), pingMs).unref();
    session.ping(() => clearTimeout(dead));
  }
}
