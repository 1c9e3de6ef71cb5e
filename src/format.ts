import type { Frame } from "./frame.ts";

/** How frames stand on a wire: an encoding of the event within a framing. */
export interface Format {
  /** Its place in the tables of frames. */
  readonly index: number;
  /** The bytes of one event. */
  encode(frame: Frame): Buffer;
}

const envelopeHead = 5;

/**
 * The envelope of a message that is not compressed: a zero byte and the length. The same in Connect
 * (connectrpc.com/docs/protocol#streaming-request), gRPC and gRPC-Web.
 */
function envelope(payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(envelopeHead + payload.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(payload.length, 1);
  bytes.set(payload, envelopeHead);
  return bytes;
}

const finalText = 0x81;
const finalBinary = 0x82;

/** One WebSocket frame, unmasked as servers send it (RFC 6455 section 5.2). */
function webSocketFrame(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const extra = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const bytes = Buffer.allocUnsafe(2 + extra + length);
  bytes[0] = opcode;
  bytes[1] = extra === 0 ? length : extra === 2 ? 126 : 127;
  if (extra === 2) bytes.writeUInt16BE(length, 2);
  if (extra === 8) bytes.writeBigUInt64BE(BigInt(length), 2);
  bytes.set(payload, 2 + extra);
  return bytes;
}

/** Protobuf in envelopes. */
export const envelopedProto: Format = { index: 0, encode: (frame) => envelope(frame.binary) };
/** JSON in envelopes. */
export const envelopedJson: Format = { index: 1, encode: (frame) => envelope(Buffer.from(frame.json)) };
/** Protobuf in WebSocket frames. */
export const webSocketProto: Format = { index: 2, encode: (frame) => webSocketFrame(finalBinary, frame.binary) };
/** JSON in WebSocket frames. */
export const webSocketJson: Format = {
  index: 3,
  encode: (frame) => webSocketFrame(finalText, Buffer.from(frame.json)),
};

/** One chunk of a body of HTTP/1.1 (RFC 9112 section 7.1). */
function chunk(payload: Buffer): Buffer {
  const head = `${payload.length.toString(16)}\r\n`;
  const bytes = Buffer.allocUnsafe(head.length + payload.length + 2);
  bytes.write(head, 0, "latin1");
  bytes.set(payload, head.length);
  bytes.write("\r\n", head.length + payload.length, "latin1");
  return bytes;
}

/** Protobuf in envelopes in chunks. */
export const chunkedProto: Format = { index: 4, encode: (frame) => chunk(envelopedProto.encode(frame)) };
/** JSON in envelopes in chunks. */
export const chunkedJson: Format = { index: 5, encode: (frame) => chunk(envelopedJson.encode(frame)) };
