/** Frames of the WebSocket bridge in JSON. */
import type { BridgeFrameJson } from "../../gen/tidings/v1/bridge_pb.ts";
import type { MessageJson } from "../../gen/tidings/v1/message_pb.ts";
import type { SubscribeRequestJson, SubscribeResponseJson } from "../../gen/tidings/v1/push_service_pb.ts";
import { readJsonEvent } from "./json-events.ts";
import type { FrameCodec } from "./ws-stream.ts";

/** Subscribes with these filters. */
export function jsonCodec(subscribe: SubscribeRequestJson): FrameCodec<MessageJson> {
  return {
    subprotocol: "tidings.v1.json",
    encode: ({ token, positions }) =>
      JSON.stringify({ token, subscribe: { ...subscribe, positions: [...positions] } } satisfies BridgeFrameJson),
    decode(data) {
      const json: unknown = typeof data === "string" ? JSON.parse(data) : undefined;
      if (typeof json !== "object" || json === null) throw new TypeError("not a JSON object");
      return readJsonEvent(json as SubscribeResponseJson);
    },
  };
}
