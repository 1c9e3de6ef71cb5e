/** How Protobuf requests reach the service: over fetch, or over a Connect transport that the caller brings. */
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import {
  PushService,
  type SubscribeRequest,
  type SubscribeRequestSchema,
  type SubscribeResponse,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import type { RoomJoin } from "../events.ts";
import { errorFromConnect } from "./wire-error.ts";

/** A request of Subscribe. */
export type SubscribeInit = Exclude<MessageInitShape<typeof SubscribeRequestSchema>, SubscribeRequest>;

/** What to receive: SubscribeRequest without what the client keeps itself, and rooms in a plainer form. */
export type SubscribeOptions = Omit<SubscribeInit, "positions" | "rooms" | "instanceId" | "$typeName"> & {
  /** Rooms to enter: at most 100; join() and leave() change them later. */
  readonly rooms?: readonly RoomJoin[];
};

/** Sends requests; what it throws is read by errorFromThrown. */
export interface Caller {
  /**
   * Prepares a call of a method that has one answer; the returned function sends it, any number of times. Throws a
   * TypeError for a request that Protobuf cannot encode.
   */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I>,
  ): (token: string, signal: AbortSignal) => Promise<MessageShape<O>>;
  /** Calls Subscribe. Ends when the stream does; only aborting the signal drops it. */
  subscribe(init: SubscribeInit, token: string, signal: AbortSignal): AsyncIterable<SubscribeResponse>;
}

/** The header that carries a token. */
export function authorization(token: string): HeadersInit {
  return { authorization: `Bearer ${token}` };
}

/** Sends requests over any Connect transport: gRPC, HTTP/2 in Node, in memory. */
export function transportCaller(transport: Transport): Caller {
  return {
    unary: (method, init) => async (token, signal) => {
      try {
        return (await transport.unary(method, signal, undefined, authorization(token), init)).message;
      } catch (thrown) {
        throw errorFromConnect(thrown);
      }
    },
    async *subscribe(init, token, signal) {
      const headers = authorization(token);
      try {
        // 0: no deadline, whatever the transport's default is.
        const stream = await transport.stream(PushService.method.subscribe, signal, 0, headers, once(init));
        yield* stream.message;
      } catch (thrown) {
        throw errorFromConnect(thrown);
      }
    },
  };
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}
