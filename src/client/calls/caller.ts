/** Sends Protobuf requests to the service: over fetch, or over a Connect transport of the caller. */
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

/** A request of Subscribe in the contract's form. */
export type SubscribeInit = Exclude<MessageInitShape<typeof SubscribeRequestSchema>, SubscribeRequest>;

/** A subscription: SubscribeRequest without the fields that the client fills in, and with rooms in a plainer form. */
export type SubscribeOptions = Omit<SubscribeInit, "positions" | "rooms" | "instanceId" | "$typeName"> & {
  /** The rooms to join: at most 100. join() and leave() change them later. */
  readonly rooms?: readonly RoomJoin[];
};

/** Sends requests. Errors of the server are thrown as TidingsErrors. */
export interface Caller {
  /**
   * Prepares a call of a unary method; the returned function sends it, any number of times. Over fetch, throws a
   * TypeError for a request that Protobuf cannot encode.
   */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I>,
  ): (token: string, signal: AbortSignal) => Promise<MessageShape<O>>;
  /** Calls Subscribe. The iteration ends with the stream; only aborting the signal drops the stream. */
  subscribe(init: SubscribeInit, token: string, signal: AbortSignal): AsyncIterable<SubscribeResponse>;
}

/** The header with the token. */
export function authorization(token: string): HeadersInit {
  return { authorization: `Bearer ${token}` };
}

/** A caller over any Connect transport, such as gRPC, HTTP/2 in Node, or in memory. */
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
        // A timeout of 0 disables the default deadline of the transport.
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
