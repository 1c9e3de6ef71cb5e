/** Subscribe over the Connect protocol: a request whose response does not end. */
import { errorFromThrown } from "../calls/wire-error.ts";
import type { OpenStream, StreamEvent, StreamRequest } from "../events.ts";
import { TidingsError } from "../tidings-error.ts";

/**
 * Opens streams whose responses `subscribe` iterates over, and `read` decodes. Only aborting the signal drops a stream.
 * Such a stream cannot be probed: its request has been sent, and a second request may take another connection.
 */
export function connectStream<M, R>(
  subscribe: (request: StreamRequest, signal: AbortSignal) => AsyncIterable<R>,
  read: (response: R) => StreamEvent<M>,
): OpenStream<M> {
  return (request, sink) => {
    const dropped = new AbortController();
    const pump = async () => {
      for await (const response of subscribe(request, dropped.signal)) {
        // The iteration may go on after the drop, in a transport that ignores its signal.
        if (dropped.signal.aborted) return;
        sink.event(read(response));
      }
      throw new TidingsError("unavailable", "the stream ended");
    };
    pump().catch((thrown: unknown) => sink.end(errorFromThrown(thrown)));
    return { drop: () => dropped.abort(), probe: () => false };
  };
}
