/** What subscribers of each kind of server say. */
import { create, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { BridgeFrameSchema } from "../../gen/tidings/v1/bridge_pb.ts";
import { SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import type { StreamRequest } from "./http2-session.ts";
import { type Script, type Sight, sightOf } from "./opening.ts";

/** Kinds of servers and protocols. `grpc` takes several streams on one connection. */
export type Family = "bare" | "ws" | "socket.io" | "tidings-ws" | "connect" | "grpc" | "nats" | "centrifugo";

/** Who subscribes, and to what. */
export interface Subscriber {
  readonly token: string;
  /** A SubscribeRequest in Protobuf's JSON. */
  readonly subscribe: JsonValue;
}

const path = "/tidings.v1.PushService/Subscribe";
/** The tag of caught_up, field 5 of SubscribeResponse. */
const caughtUp = 0x2a;

/** Whether an event of this length is a caught_up: its tag, and the length of what is in it, where that takes one byte. */
function isCaughtUp(text: string, at: number, length: number): boolean {
  return text.charCodeAt(at) === caughtUp && (length > 129 || text.charCodeAt(at + 1) === length - 2);
}

/** An envelope with caught_up: flag 0, a length below 64 KiB in four bytes, the event. */
const caughtUpEnvelope: Sight = (text) => {
  const head = "\0\0\0";
  for (let at = text.indexOf(head); at >= 0; at = text.indexOf(head, at + 1)) {
    const length = text.charCodeAt(at + 3) * 256 + text.charCodeAt(at + 4);
    if (isCaughtUp(text, at + 5, length)) return at + 6;
  }
  return -1;
};

/** The same in an unmasked binary frame: a length in one byte, or 126 and a length in two (RFC 6455 section 5.2). */
const caughtUpFrame: Sight = (text) => {
  const head = "\x82";
  for (let at = text.indexOf(head); at >= 0; at = text.indexOf(head, at + 1)) {
    const short = text.charCodeAt(at + 1);
    const length = short < 126 ? short : text.charCodeAt(at + 2) * 256 + text.charCodeAt(at + 3);
    const body = at + (short < 126 ? 2 : 4);
    if (isCaughtUp(text, body, length)) return body + 1;
  }
  return -1;
};

/** A pong that nobody asked for (RFC 6455 section 5.5.3), masked with zeros. */
export const pong = Buffer.of(0x8a, 0x80, 0, 0, 0, 0);

/** What one subscriber on a connection of its own says. */
export function scriptOf(family: Exclude<Family, "grpc">, subscriber: Subscriber): Script {
  switch (family) {
    case "bare":
      return { hello: Buffer.alloc(0), steps: [{ see: sightOf("ready") }] };
    case "ws":
      return { hello: upgrade("/"), steps: [{ see: sightOf("ready") }] };
    case "socket.io":
      return {
        hello: upgrade("/socket.io/?EIO=4&transport=websocket"),
        steps: [
          { see: sightOf('0{"sid"'), say: webSocketFrame(1, Buffer.from("40")) },
          { see: sightOf('42["ready"]') },
        ],
      };
    case "tidings-ws":
      return {
        hello: upgrade("/ws", "sec-websocket-protocol: tidings.v1.proto\r\n"),
        steps: [{ see: sightOf("\r\n\r\n"), say: webSocketFrame(2, bridgeFrame(subscriber)) }, { see: caughtUpFrame }],
      };
    case "connect":
      return { hello: connectRequest(subscriber), steps: [{ see: caughtUpEnvelope }] };
    case "nats":
      return {
        hello: Buffer.from('CONNECT {"verbose":false}\r\nSUB bench 1\r\nPING\r\n'),
        steps: [{ see: sightOf("PONG") }],
      };
    case "centrifugo":
      return {
        hello: upgrade("/connection/websocket"),
        steps: [
          { see: sightOf("\r\n\r\n"), say: webSocketFrame(1, Buffer.from('{"id":1,"connect":{}}')) },
          { see: sightOf('"id":1,'), say: webSocketFrame(1, Buffer.from('{"id":2,"subscribe":{"channel":"bench"}}')) },
          { see: sightOf('"id":2,"subscribe"') },
        ],
      };
  }
}

/** A gRPC call of Subscribe. */
export function grpcRequest({ token, subscribe }: Subscriber): StreamRequest {
  const headers = {
    ":method": "POST",
    ":scheme": "http",
    ":path": path,
    ":authority": "127.0.0.1",
    "content-type": "application/grpc+proto",
    te: "trailers",
    authorization: `Bearer ${token}`,
  };
  return { headers, body: envelope(subscribeBytes(subscribe)), steps: [{ see: caughtUpEnvelope }] };
}

function connectRequest({ token, subscribe }: Subscriber): Buffer {
  const body = envelope(subscribeBytes(subscribe));
  const head = [
    `POST ${path} HTTP/1.1`,
    "host: 127.0.0.1",
    "content-type: application/connect+proto",
    "connect-protocol-version: 1",
    `authorization: Bearer ${token}`,
    `content-length: ${body.length}`,
  ];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), body]);
}

function bridgeFrame({ token, subscribe }: Subscriber): Uint8Array {
  const frame = create(BridgeFrameSchema, { token, subscribe: fromJson(SubscribeRequestSchema, subscribe) });
  return toBinary(BridgeFrameSchema, frame);
}

function subscribeBytes(subscribe: JsonValue): Uint8Array {
  return toBinary(SubscribeRequestSchema, fromJson(SubscribeRequestSchema, subscribe));
}

function envelope(data: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(data.length, 1);
  return Buffer.concat([head, data]);
}

function upgrade(target: string, more = ""): Buffer {
  return Buffer.from(
    `GET ${target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`,
  );
}

/** A frame of a client must be masked (RFC 6455 section 5.3); a mask of zeros leaves it as it is. */
function webSocketFrame(opcode: number, payload: Uint8Array): Buffer {
  const short = payload.length < 126;
  const head = Buffer.alloc(short ? 6 : 8);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | (short ? payload.length : 126);
  if (!short) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}
