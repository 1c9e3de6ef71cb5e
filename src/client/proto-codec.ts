/** Frames of the WebSocket bridge in binary Protobuf. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BridgeFrameSchema } from "../../gen/tidings/v1/bridge_pb.ts";
import type { Message } from "../../gen/tidings/v1/message_pb.ts";
import { SubscribeResponseSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import type { SubscribeOptions } from "./caller.ts";
import { readEvent } from "./proto-events.ts";
import type { FrameCodec } from "./ws-stream.ts";

/** Subscribes with these filters. */
export function protoCodec(subscribe: SubscribeOptions): FrameCodec<Message> {
  return {
    subprotocol: "tidings.v1.proto",
    encode: ({ token, positions }) =>
      toBinary(
        BridgeFrameSchema,
        create(BridgeFrameSchema, { token, subscribe: { ...subscribe, positions: [...positions] } }),
      ),
    decode(data) {
      if (!(data instanceof ArrayBuffer)) throw new TypeError("not a binary frame");
      return readEvent(fromBinary(SubscribeResponseSchema, new Uint8Array(data)));
    },
  };
}
