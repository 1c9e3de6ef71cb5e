/** Frames of HTTP/2, written by hand: a client library would refuse to send what attacks send. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import type { Socket } from "node:net";
import { frame, frameTypes } from "../../http/frames.ts";
import { openTcp } from "./tcp.ts";

/** Flags of frames. */
export const flags = { endStream: 1, endHeaders: 4 };

/** The first bytes of a connection (RFC 9113 section 3.4). */
export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const cancel = Buffer.from([0, 0, 0, 8]);

/** Encodes a header field as a literal without indexing and without Huffman coding (RFC 7541 section 6.2.2). */
export function literal(name: string, value: string): Buffer {
  if (name.length > 126 || value.length > 126) throw new RangeError("a literal of this encoder has up to 126 bytes");
  return Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
}

/** Encodes the headers of a request without a token. */
export function requestHeaders(path: string): Buffer {
  return Buffer.concat([
    literal(":method", "POST"),
    literal(":scheme", "http"),
    literal(":path", path),
    literal(":authority", "x"),
    literal("content-type", "application/grpc"),
  ]);
}

/** Encodes a request that is reset at once. */
export function resetRequest(stream: number, headers: Buffer): Buffer {
  return Buffer.concat([
    frame(frameTypes.headers, flags.endStream | flags.endHeaders, stream, headers),
    frame(frameTypes.reset, 0, stream, cancel),
  ]);
}

/** Opens a connection and sends the preface. */
export function openHttp2(target: { readonly port: number }): Socket {
  const socket = openTcp(target);
  socket.write(Buffer.concat([preface, frame(frameTypes.settings, 0, 0)]));
  return socket;
}

/** Opens a session of Node's own client, whose errors are expected. */
export function openSession(target: { readonly url: string; readonly port: number }): ClientHttp2Session {
  // With Node's default of 10 MB, a client that has more to send resets a stream when its response arrives.
  const maxSessionMemory = 1_000;
  return connect(target.url, { maxSessionMemory, createConnection: () => openTcp(target) }).on("error", () => {});
}

/** A request of a session. */
export interface SessionRequest {
  /** The path of the method below its server; PushService may be left out. */
  readonly method: string;
  readonly type: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string | number>>;
}

/** Begins a request, whose body is still to be written, and whose errors are expected. */
export function request(
  session: ClientHttp2Session,
  { method, type, token, headers }: SessionRequest,
): ClientHttp2Stream {
  return session
    .request({
      ":method": "POST",
      ":path": method.includes("/") ? `/${method}` : `/tidings.v1.PushService/${method}`,
      "content-type": type,
      te: "trailers",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    })
    .on("error", () => {});
}

/** Wraps a message for a stream of Connect or gRPC. */
export function envelope(message: string | Uint8Array): Buffer {
  const bytes = Buffer.from(message as string);
  const header = Buffer.alloc(5);
  header.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([header, bytes]);
}
