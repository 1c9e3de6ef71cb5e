/** Frames of the WebSocket bridge in JSON. */
import type { BridgeFrameJson } from "../../../gen/tidings/v1/bridge_pb.ts";
import type { MessageJson } from "../../../gen/tidings/v1/message_pb.ts";
import type { SubscribeRequestJson, SubscribeResponseJson } from "../../../gen/tidings/v1/push_service_pb.ts";
import type { FrameCodec } from "../streams/ws.ts";
import { readJsonEvent } from "./json-events.ts";
import { subscribeJson } from "./json-requests.ts";

/** Subscribes with these filters. */
export function jsonCodec(filters: SubscribeRequestJson): FrameCodec<MessageJson> {
  return {
    subprotocol: "tidings.v1.json",
    encode: (request) =>
      JSON.stringify({ token: request.token, subscribe: subscribeJson(filters, request) } satisfies BridgeFrameJson),
    decode(data) {
      const json: unknown = typeof data === "string" ? JSON.parse(data) : undefined;
      if (typeof json !== "object" || json === null) throw new TypeError("not a JSON object");
      return readJsonEvent(json as SubscribeResponseJson);
    },
  };
}
