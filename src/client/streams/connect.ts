/** Subscribe over the Connect protocol. */
import type { Message } from "../../../gen/tidings/v1/message_pb.ts";
import type { Caller, SubscribeInit } from "../calls/caller.ts";
import { errorFromThrown } from "../calls/wire-error.ts";
import { readEvent, subscribeInit } from "../codec/proto.ts";
import type { OpenStream } from "../events.ts";
import { TidingsError } from "../tidings-error.ts";

/** Opens streams with these filters. */
export function connectStream(caller: Caller, filters: SubscribeInit): OpenStream<Message> {
  return (request, sink) => {
    const dropped = new AbortController();
    const pump = async () => {
      const init = subscribeInit(filters, request);
      for await (const response of caller.subscribe(init, request.token, dropped.signal)) {
        // What was read before the drop is still handed out after it.
        if (dropped.signal.aborted) return;
        sink.event(readEvent(response));
      }
      throw new TidingsError("unavailable", "the stream ended");
    };
    pump().catch((thrown: unknown) => {
      // Its own signal, not the code, says whether the client ended the stream: a lost connection is `canceled`, too.
      if (!dropped.signal.aborted) sink.end(errorFromThrown(thrown));
    });
    return () => dropped.abort();
  };
}
