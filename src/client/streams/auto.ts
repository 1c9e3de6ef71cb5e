/**
 * Chooses between the WebSocket bridge and the Connect stream. The bridge comes first: a browser opens six HTTP/1.1
 * connections per host for all its tabs, and a seventh stream would hang, while WebSockets have a budget of their own.
 */
import type { OpenStream, StreamSink } from "../events.ts";
import type { TidingsError } from "../tidings-error.ts";

type Way = "ws" | "connect";

/** Opens streams by the bridge, and by Connect where the bridge does not get through. */
export function autoStream<M>(ws: OpenStream<M>, connect: OpenStream<M>): OpenStream<M> {
  const ways = { ws, connect };
  /** The way that worked; used alone until it fails to bring a Hello. */
  let proven: Way | undefined;
  /** Where to begin while none is proven. */
  let first: Way = "ws";

  return (request, sink) => {
    const start = proven ?? first;
    let drop = () => {};
    /** Hello came, the stream ended, or it was dropped: nothing more to learn. */
    let settled = false;

    const open = (way: Way) => {
      drop = ways[way](request, watch(way));
    };
    const watch = (way: Way): StreamSink<M> => ({
      event(event) {
        settled = true;
        proven = way;
        sink.event(event);
      },
      end(error) {
        if (settled || isAnswer(error)) {
          settled = true;
          return sink.end(error);
        }
        const alternative = way === "ws" && proven === undefined;
        proven = undefined;
        first = "ws";
        if (alternative) return open("connect");
        settled = true;
        sink.end(error);
      },
    });

    open(start);
    return () => {
      if (!settled) {
        // No word in good time: a proxy may swallow the upgrade. The next attempt begins with the other way, unless this one
        // has worked before and deserves another try.
        first = proven === undefined && start === "ws" ? "connect" : "ws";
        proven = undefined;
      }
      settled = true;
      drop();
    };
  };
}

/** Whether the server itself said it, and named a reason; or a gateway that checks tokens for it, whichever the way. */
function isAnswer(error: TidingsError): boolean {
  return error.reason !== undefined || error.code === "unauthenticated";
}
