import { brotliCompressSync, constants, gzipSync } from "node:zlib";

/** An event in both codecs; each is encoded when it is read. */
export interface Encodable {
  /** Protobuf. */
  readonly binary: Uint8Array;
  /** Protobuf's JSON. */
  readonly json: string;
}

/** How events stand on a wire: a codec within a framing. */
export interface Format {
  /** Its place in the tables of frames. */
  readonly index: number;
  /** The bytes of one event. */
  encode(event: Encodable): Buffer;
}

const envelopeHead = 5;
const compressed = 1;
/** Smaller messages are not worth the time; Connect's own default. */
const leastCompressed = 1024;

/** Bytes made smaller. At once, not on another thread: once per message and encoding, however many streams. */
type Compress = (payload: Uint8Array) => Uint8Array;

/** By the names that clients and servers negotiate. */
const encodings: Readonly<Record<string, Compress>> = {
  gzip: (payload) => gzipSync(payload),
  // The default of 11 is for files: it takes thirty times as long.
  br: (payload) => brotliCompressSync(payload, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
};

/**
 * The envelope of a message: a byte that says whether it is compressed, and the length. The same in Connect
 * (connectrpc.com/docs/protocol#streaming-request), gRPC and gRPC-Web.
 */
function envelope(message: Uint8Array, compress: Compress | undefined): Buffer {
  const small = message.length < leastCompressed ? undefined : compress?.(message);
  const payload = small ?? message;
  const bytes = Buffer.allocUnsafe(envelopeHead + payload.length);
  bytes[0] = small ? compressed : 0;
  bytes.writeUInt32BE(payload.length, 1);
  bytes.set(payload, envelopeHead);
  return bytes;
}

/** One chunk of a body of HTTP/1.1 (RFC 9112 section 7.1). */
function chunk(payload: Buffer): Buffer {
  const head = `${payload.length.toString(16)}\r\n`;
  const bytes = Buffer.allocUnsafe(head.length + payload.length + 2);
  bytes.write(head, 0, "latin1");
  bytes.set(payload, head.length);
  bytes.write("\r\n", head.length + payload.length, "latin1");
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

let formats = 0;

function format(encode: Format["encode"]): Format {
  return { index: formats++, encode };
}

/** Protobuf in WebSocket frames. */
export const webSocketProto = format((event) => webSocketFrame(finalBinary, event.binary));
/** JSON in WebSocket frames. */
export const webSocketJson = format((event) => webSocketFrame(finalText, Buffer.from(event.json)));

/** Events in envelopes. */
export interface Enveloped {
  /** One after another. */
  readonly plain: Format;
  /** Each in a chunk of HTTP/1.1. */
  readonly chunked: Format;
}

function enveloped(payload: (event: Encodable) => Uint8Array, compress?: Compress): Enveloped {
  const encode = (event: Encodable) => envelope(payload(event), compress);
  return { plain: format(encode), chunked: format((event) => chunk(encode(event))) };
}

function inEncodings(payload: (event: Encodable) => Uint8Array): ReadonlyMap<string, Enveloped> {
  const made = Object.entries(encodings).map(([name, compress]) => [name, enveloped(payload, compress)] as const);
  return new Map([["identity", enveloped(payload)], ...made]);
}

const proto = inEncodings((event) => event.binary);
const json = inEncodings((event) => Buffer.from(event.json));

/** How events stand in envelopes, in the codec and with the encoding that were negotiated; others count as `identity`. */
export function envelopedIn(codec: "proto" | "json", encoding = "identity"): Enveloped {
  const all = codec === "json" ? json : proto;
  return all.get(encoding) ?? (all.get("identity") as Enveloped);
}
