/** Frames of the WebSocket bridge in binary Protobuf. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BridgeFrameSchema } from "../../../gen/tidings/v1/bridge_pb.ts";
import type { Message } from "../../../gen/tidings/v1/message_pb.ts";
import { SubscribeResponseSchema } from "../../../gen/tidings/v1/push_service_pb.ts";
import type { SubscribeInit } from "../calls/caller.ts";
import type { FrameCodec } from "../streams/ws.ts";
import { readEvent } from "./proto-events.ts";
import { subscribeInit } from "./proto-requests.ts";

/** Subscribes with these filters. */
export function protoCodec(filters: SubscribeInit): FrameCodec<Message> {
  return {
    subprotocol: "tidings.v1.proto",
    encode: (request) =>
      toBinary(
        BridgeFrameSchema,
        create(BridgeFrameSchema, { token: request.token, subscribe: subscribeInit(filters, request) }),
      ),
    decode(data) {
      if (!(data instanceof ArrayBuffer)) throw new TypeError("not a binary frame");
      return readEvent(fromBinary(SubscribeResponseSchema, new Uint8Array(data)));
    },
  };
}
