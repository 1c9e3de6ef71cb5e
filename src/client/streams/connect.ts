/** Subscribe over the Connect protocol. */
import type { Message } from "../../../gen/tidings/v1/message_pb.ts";
import type { Caller, SubscribeInit } from "../calls/caller.ts";
import { errorFromThrown } from "../calls/wire-error.ts";
import { readEvent, subscribeInit } from "../codec/proto.ts";
import type { OpenStream } from "../events.ts";
import { TidingsError } from "../tidings-error.ts";

/** Opens streams that subscribe with these filters. */
export function connectStream(caller: Caller, filters: SubscribeInit): OpenStream<Message> {
  return (request, sink) => {
    const dropped = new AbortController();
    const pump = async () => {
      const init = subscribeInit(filters, request);
      for await (const response of caller.subscribe(init, request.token, dropped.signal)) {
        // The iteration may still yield events that were read before the drop.
        if (dropped.signal.aborted) return;
        sink.event(readEvent(response));
      }
      throw new TidingsError("unavailable", "the stream ended");
    };
    pump().catch((thrown: unknown) => {
      // The code does not tell whether the client dropped the stream: a lost connection is `canceled`, too.
      if (!dropped.signal.aborted) sink.end(errorFromThrown(thrown));
    });
    return () => dropped.abort();
  };
}
