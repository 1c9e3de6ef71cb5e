/** Subscribe over the Connect protocol. */
import type { Message } from "../../gen/tidings/v1/message_pb.ts";
import type { Caller, SubscribeOptions } from "./caller.ts";
import type { OpenStream } from "./events.ts";
import { readEvent } from "./proto-events.ts";
import { TidingsError } from "./tidings-error.ts";
import { errorFromThrown } from "./wire-error.ts";

/** Opens streams with these filters. */
export function connectStream(caller: Caller, subscribe: SubscribeOptions): OpenStream<Message> {
  return ({ token, positions }, sink) => {
    const dropped = new AbortController();
    const pump = async () => {
      const init = { ...subscribe, positions: [...positions] };
      for await (const response of caller.subscribe(init, token, dropped.signal)) {
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
