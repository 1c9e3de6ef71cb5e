/**
 * Chooses between the WebSocket bridge and the Connect stream. The bridge comes first: a browser opens at most six
 * HTTP/1.1 connections per host for all its tabs, so a seventh stream would hang, while WebSockets have a limit of
 * their own.
 */
import type { OpenedStream, OpenStream } from "../events.ts";
import type { TidingsError } from "../tidings-error.ts";

type Transport = "ws" | "connect";

/** Opens streams over the bridge, and over Connect where the bridge does not get through. */
export function autoStream<M>(ws: OpenStream<M>, connect: OpenStream<M>): OpenStream<M> {
  const transports = { ws, connect };
  /** The transport that delivered a Hello last; used alone until it fails to. */
  let proven: Transport | undefined;
  /** The transport to try first while none is proven. */
  let first: Transport = "ws";

  return (request, sink) => {
    const start = proven ?? first;
    let stream: OpenedStream;
    let current: Transport;
    /** The attempt is decided: Hello arrived, the stream ended, or it was dropped. */
    let settled = false;

    const open = (transport: Transport) => {
      current = transport;
      stream = transports[transport](request, {
        event(event) {
          if (transport !== current) return;
          settled = true;
          proven = transport;
          sink.event(event);
        },
        end(error) {
          if (transport !== current) return;
          if (!settled && !isAnswer(error)) {
            const fallback = transport === "ws" && proven === undefined;
            proven = undefined;
            first = "ws";
            if (fallback) {
              stream.drop();
              return open("connect");
            }
          }
          settled = true;
          sink.end(error);
        },
      });
    };

    open(start);
    return {
      drop() {
        if (!settled) {
          // No answer before the deadline: a proxy may swallow the upgrade. Start the next attempt with the other
          // transport, unless this one has worked before; then try it again.
          first = proven === undefined && start === "ws" ? "connect" : "ws";
          proven = undefined;
        }
        settled = true;
        stream.drop();
      },
      probe: () => stream.probe(),
    };
  };
}

/**
 * Whether the error is an answer that the other transport would get too: of the server, or of a gateway that checks
 * tokens.
 */
function isAnswer(error: TidingsError): boolean {
  return error.reason !== undefined || error.code === "unauthenticated";
}
