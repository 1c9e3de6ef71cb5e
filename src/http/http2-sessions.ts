import { constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { TimeoutOptions } from "../options.ts";
import type { ResetLimit, StreamTally } from "./reset-limit.ts";

/**
 * Time between pings, in ms. Node's HTTP/2 servers never ping, so a peer that vanished without FIN would stay for ever.
 */
const pingMs = 20_000;

/** NGHTTP2_ERR_FLOODED: the peer sent pings or settings, and did not read what acknowledges them. */
const flooded = -904;

/** One HTTP/2 connection. */
interface Connection {
  readonly address: string | undefined;
  readonly tally: StreamTally;
  /** Its open streams. */
  open: number;
}

/**
 * Enforces the timeouts on HTTP/2 that Node enforces on HTTP/1.1 only: for first headers, whole requests, idle and dead
 * connections. Tears down connections whose peers reset their streams too often.
 */
export class Http2Sessions {
  readonly #timeouts: Required<TimeoutOptions>;
  readonly #resets: ResetLimit;
  readonly #tornDown: () => void;
  readonly #sessions = new Map<ServerHttp2Session, Connection>();

  /** Watches the sessions of a server. `tornDown` is called for each connection that is torn down for its resets. */
  constructor(server: Http2Server, timeouts: Required<TimeoutOptions>, resets: ResetLimit, tornDown: () => void) {
    this.#timeouts = timeouts;
    this.#resets = resets;
    this.#tornDown = tornDown;
    server.on("session", (session) => this.#watch(session));
    // The peer causes the errors of a session, which then closes by itself.
    server.on("sessionError", (error: NodeJS.ErrnoException, session: ServerHttp2Session) => {
      if (error.errno === flooded) this.#resets.strike(this.#sessions.get(session)?.address);
    });
  }

  /** Sends GOAWAY to all peers: open streams may finish, new ones need another connection. */
  close(): void {
    for (const session of this.#sessions.keys()) session.close();
  }

  #watch(session: ServerHttp2Session): void {
    const { remoteAddress: address } = session.socket;
    const connection = { address, tally: this.#resets.connection(), open: 0 };
    this.#sessions.set(session, connection);
    session.on("error", () => {});
    session.on("stream", (stream) => this.#limitRequest(session, connection, stream));
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
    if (this.#sessions.get(session)?.open === 0 && outboundQueueSize === 0) session.close();
  }

  #limitRequest(session: ServerHttp2Session, connection: Connection, stream: ServerHttp2Stream): void {
    const { tally } = connection;
    const openedAt = performance.now();
    tally.opened();
    // Node emits this event after all frames that have arrived, and the reset may have been among them.
    if (stream.destroyed) {
      this.#countReset(session, connection, openedAt);
      return;
    }
    connection.open++;
    let isLate = false;
    const late = setTimeout(() => {
      // It has arrived whole, and only was not read yet: its call waits.
      if (stream.state.state === constants.NGHTTP2_STREAM_STATE_HALF_CLOSED_REMOTE) return;
      isLate = true;
      stream.close(constants.NGHTTP2_CANCEL);
    }, this.#timeouts.requestMs);
    stream.once("end", () => clearTimeout(late));
    stream.once("close", () => {
      clearTimeout(late);
      connection.open--;
      if (isLate || (stream.writableFinished && !stream.aborted)) return;
      this.#countReset(session, connection, openedAt);
    });
  }

  #countReset(session: ServerHttp2Session, { address, tally }: Connection, openedAt: number): void {
    if (!tally.reset(openedAt, performance.now()) || session.destroyed) return;
    this.#resets.strike(address);
    this.#tornDown();
    session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    session.destroy();
  }

  /** Pings the peer, and cuts the session when the pong has not come before the next ping is due. */
  #ping(session: ServerHttp2Session): void {
    if (session.destroyed) return;
    const dead = setTimeout(() => session.destroy(), pingMs).unref();
    session.ping(() => clearTimeout(dead));
  }
}
