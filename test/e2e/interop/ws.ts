/** Drives the bridge with the `ws` package, and the calls beside the stream with fetch, as in a page. */
import {
  create,
  fromBinary,
  fromJson,
  type JsonValue,
  type MessageInitShape,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import WebSocket from "ws";
import { BridgeFrameSchema } from "../../../gen/tidings/v1/bridge_pb.ts";
import { SubscribeRequestSchema, SubscribeResponseSchema } from "../../../gen/tidings/v1/push_service_pb.ts";
import { CallError, codeName, type Driver, Inflow, type Traits } from "./driver.ts";
import { fetchDriver } from "./fetch.ts";

/** A subprotocol of the bridge. */
export type Subprotocol = "tidings.v1.json" | "tidings.v1.proto";

/** The fields of a frame of a client. */
export type FrameInit = MessageInitShape<typeof BridgeFrameSchema>;

/** The bridge has neither deadlines nor details of errors. */
export const wsTraits: Traits = { deadlineMs: undefined, streamDetails: false };

/** Creates a driver for the bridge. */
export function wsDriver(url: string, subprotocol: Subprotocol): Driver {
  return {
    ...fetchDriver(url, false),
    stream({ request, token = "" }) {
      const { socket, events } = openBridge(url, subprotocol);
      const subscribe = fromJson(SubscribeRequestSchema, request);
      socket.on("open", () => socket.send(encode(subprotocol, { token, subscribe })));
      return events;
    },
  };
}

/** Opens a socket, and reads its events. */
export function openBridge(url: string, subprotocol: Subprotocol, headers: Record<string, string> = {}) {
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, subprotocol, { headers });
  const events = new Inflow(() => socket.terminate());
  socket.on("message", (data, isBinary) => events.push(decode(data as Buffer, isBinary)));
  socket.on("error", (error) => events.end(error));
  socket.on("close", (code, text) => events.end(closeError(code, text)));
  return { socket, events };
}

/** Encodes a frame of a client. */
export function encode(subprotocol: Subprotocol, init: FrameInit): string | Uint8Array {
  const frame = create(BridgeFrameSchema, init);
  if (subprotocol === "tidings.v1.proto") return toBinary(BridgeFrameSchema, frame);
  return JSON.stringify(toJson(BridgeFrameSchema, frame));
}

function decode(data: Buffer, isBinary: boolean): JsonValue {
  if (!isBinary) return JSON.parse(data.toString()) as JsonValue;
  return toJson(SubscribeResponseSchema, fromBinary(SubscribeResponseSchema, data));
}

/** Parses the close of the bridge: 4000 plus the number of the code, and a text that begins with the reason. */
function closeError(code: number, text: Buffer): CallError {
  const [, reason = "", message = ""] = /^(\w+): (.*)$/s.exec(text.toString()) ?? [];
  const name = Code[code - 4000] ?? `closed with ${code}`;
  return new CallError(codeName(name), message, [{ type: "google.rpc.ErrorInfo", value: { reason } }]);
}
