/** The handshakes of all protocols. */
import { create, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { BridgeFrameSchema } from "../../gen/tidings/v1/bridge_pb.ts";
import { SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { type HandshakeScript, type Pattern, textPattern } from "./handshake.ts";
import type { StreamRequest } from "./http2-session.ts";

/** The protocols over HTTP/2, with several streams on one connection. */
export type Http2Protocol = "grpc" | "connect-h2";

/** The protocol between a server and its subscribers. */
export type Protocol =
  | "bare"
  | "ws"
  | "socket.io"
  | "tidings-ws"
  | "tidings-ws-json"
  | "connect"
  | "nats"
  | "centrifugo"
  | Http2Protocol;

/** The token and the request of one stream. */
export interface Subscriber {
  readonly token: string;
  /** The channel, for servers with channels. */
  readonly channel: string;
  /** A SubscribeRequest in Protobuf's JSON. */
  readonly subscribe: JsonValue;
}

const path = "/tidings.v1.PushService/Subscribe";
/** The tag of caught_up, field 5 of SubscribeResponse. */
const caughtUpTag = 0x2a;

/** Whether an event of this length is a caught_up: it has the tag, followed by the length of the field if that is one byte. */
function isCaughtUp(text: string, at: number, length: number): boolean {
  return text.charCodeAt(at) === caughtUpTag && (length > 129 || text.charCodeAt(at + 1) === length - 2);
}

/** A caught_up in an envelope of Connect or gRPC: flags 0, a length below 64 KiB in four bytes, the event. */
const caughtUpEnvelope: Pattern = (text) => {
  const prefix = "\0\0\0";
  for (let at = text.indexOf(prefix); at >= 0; at = text.indexOf(prefix, at + 1)) {
    const length = text.charCodeAt(at + 3) * 256 + text.charCodeAt(at + 4);
    if (isCaughtUp(text, at + 5, length)) return at + 6;
  }
  return -1;
};

/** A caught_up in an unmasked binary frame: a length in one byte, or 126 and a length in two (RFC 6455 section 5.2). */
const caughtUpFrame: Pattern = (text) => {
  const prefix = "\x82";
  for (let at = text.indexOf(prefix); at >= 0; at = text.indexOf(prefix, at + 1)) {
    const short = text.charCodeAt(at + 1);
    const length = short < 126 ? short : text.charCodeAt(at + 2) * 256 + text.charCodeAt(at + 3);
    const body = at + (short < 126 ? 2 : 4);
    if (isCaughtUp(text, body, length)) return body + 1;
  }
  return -1;
};

/** An unsolicited pong (RFC 6455 section 5.5.3), masked with zeros. */
export const pong = Buffer.of(0x8a, 0x80, 0, 0, 0, 0);

/** The handshake of a subscriber with a connection of its own. */
export function handshakeOf(protocol: Exclude<Protocol, Http2Protocol>, subscriber: Subscriber): HandshakeScript {
  switch (protocol) {
    case "bare":
      return { first: Buffer.alloc(0), steps: [{ expect: textPattern("ready") }] };
    case "ws":
      return { first: upgrade("/"), steps: [{ expect: textPattern("ready") }] };
    case "socket.io":
      return {
        first: upgrade("/socket.io/?EIO=4&transport=websocket"),
        steps: [
          { expect: textPattern('0{"sid"'), send: webSocketFrame(1, Buffer.from("40")) },
          { expect: textPattern('42["ready"]') },
        ],
      };
    case "tidings-ws":
      return {
        first: upgrade("/ws", "sec-websocket-protocol: tidings.v1.proto\r\n"),
        steps: [
          { expect: textPattern("\r\n\r\n"), send: webSocketFrame(2, bridgeFrame(subscriber)) },
          { expect: caughtUpFrame },
        ],
      };
    case "tidings-ws-json":
      return {
        first: upgrade("/ws", "sec-websocket-protocol: tidings.v1.json\r\n"),
        steps: [
          { expect: textPattern("\r\n\r\n"), send: textFrame(JSON.stringify(subscriber, ["token", "subscribe"])) },
          { expect: textPattern('"caughtUp":') },
        ],
      };
    case "connect":
      return { first: connectRequest(subscriber), steps: [{ expect: caughtUpEnvelope }] };
    case "nats":
      return {
        first: Buffer.from(`CONNECT {"verbose":false}\r\nSUB ${subscriber.channel} 1\r\nPING\r\n`),
        steps: [{ expect: textPattern("PONG") }],
      };
    case "centrifugo":
      return {
        first: upgrade("/connection/websocket"),
        steps: [
          { expect: textPattern("\r\n\r\n"), send: textFrame('{"id":1,"connect":{}}') },
          {
            expect: textPattern('"id":1,'),
            send: textFrame(`{"id":2,"subscribe":{"channel":"${subscriber.channel}"}}`),
          },
          { expect: textPattern('"id":2,"subscribe"') },
        ],
      };
  }
}

const http2Headers: Readonly<Record<Http2Protocol, Readonly<Record<string, string>>>> = {
  grpc: { "content-type": "application/grpc+proto", te: "trailers" },
  "connect-h2": { "content-type": "application/connect+proto", "connect-protocol-version": "1" },
};

/** Whether subscribers of this protocol share connections. */
export function isHttp2(protocol: Protocol): protocol is Http2Protocol {
  return protocol in http2Headers;
}

/** A call of Subscribe over HTTP/2. */
export function http2Request(protocol: Http2Protocol, { token, subscribe }: Subscriber): StreamRequest {
  const headers = {
    ":method": "POST",
    ":scheme": "http",
    ":path": path,
    ":authority": "127.0.0.1",
    ...http2Headers[protocol],
    authorization: `Bearer ${token}`,
  };
  return { headers, body: envelope(subscribeBytes(subscribe)), steps: [{ expect: caughtUpEnvelope }] };
}

function connectRequest({ token, subscribe }: Subscriber): Buffer {
  const body = envelope(subscribeBytes(subscribe));
  const headers = [
    `POST ${path} HTTP/1.1`,
    "host: 127.0.0.1",
    "content-type: application/connect+proto",
    "connect-protocol-version: 1",
    `authorization: Bearer ${token}`,
    `content-length: ${body.length}`,
  ];
  return Buffer.concat([Buffer.from(`${headers.join("\r\n")}\r\n\r\n`), body]);
}

function bridgeFrame({ token, subscribe }: Subscriber): Uint8Array {
  const frame = create(BridgeFrameSchema, { token, subscribe: fromJson(SubscribeRequestSchema, subscribe) });
  return toBinary(BridgeFrameSchema, frame);
}

function subscribeBytes(subscribe: JsonValue): Uint8Array {
  return toBinary(SubscribeRequestSchema, fromJson(SubscribeRequestSchema, subscribe));
}

/** The envelope of a message in Connect and gRPC: flags 0 and the length. */
function envelope(data: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(data.length, 1);
  return Buffer.concat([prefix, data]);
}

function upgrade(target: string, headers = ""): Buffer {
  return Buffer.from(
    `GET ${target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n${headers}\r\n`,
  );
}

function textFrame(text: string): Buffer {
  return webSocketFrame(1, Buffer.from(text));
}

/** Clients must mask their frames (RFC 6455 section 5.3); a mask of zeros leaves the payload as it is. */
function webSocketFrame(opcode: number, payload: Uint8Array): Buffer {
  const short = payload.length < 126;
  const header = Buffer.alloc(short ? 6 : 8);
  header[0] = 0x80 | opcode;
  header[1] = 0x80 | (short ? payload.length : 126);
  if (!short) header.writeUInt16BE(payload.length, 2);
  return Buffer.concat([header, payload]);
}
