import { brotliCompressSync, constants, gzipSync } from "node:zlib";

/** An event that can be encoded in both codecs, each on access. */
export interface Encodable {
  /** The event in Protobuf. */
  readonly binary: Uint8Array;
  /** The event in Protobuf's JSON. */
  readonly json: string;
}

/** A wire format of events: a codec within a framing. */
export interface Format {
  /** Unique among formats, ascending from 0: the index of this format's bytes in the arrays of frames. */
  readonly index: number;
  /** Encodes one event. */
  encode(event: Encodable): Buffer;
}

/** Bytes of an envelope before its message: flags and length. */
const envelopeBytes = 5;
const compressedFlag = 1;
/** Smaller messages are not compressed, in bytes: Connect's own default. */
const minCompressed = 1024;

/** Compresses bytes. Synchronous, for it runs once per message and encoding, however many streams there are. */
type Compress = (payload: Uint8Array) => Uint8Array;

/** Compressions by the names that clients and servers negotiate. */
const encodings: Readonly<Record<string, Compress>> = {
  gzip: (payload) => gzipSync(payload),
  // The default quality of 11 is meant for files, and takes thirty times as long.
  br: (payload) => brotliCompressSync(payload, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
};

/**
 * Puts a message into an envelope: a byte of flags, the length and the message. Connect
 * (connectrpc.com/docs/protocol#streaming-request), gRPC and gRPC-Web use the same. `isChunk` puts the envelope into a chunk
 * of an HTTP/1.1 body (RFC 9112 section 7.1).
 */
function envelope(message: Uint8Array, compress: Compress | undefined, isChunk: boolean): Buffer {
  const small = message.length < minCompressed ? undefined : compress?.(message);
  const payload = small ?? message;
  const length = envelopeBytes + payload.length;
  const size = isChunk ? `${length.toString(16)}\r\n` : "";
  const bytes = Buffer.allocUnsafe(size.length + length + (isChunk ? 2 : 0));
  bytes.write(size, "latin1");
  bytes[size.length] = small ? compressedFlag : 0;
  bytes.writeUInt32BE(payload.length, size.length + 1);
  bytes.set(payload, size.length + envelopeBytes);
  if (isChunk) bytes.write("\r\n", size.length + length, "latin1");
  return bytes;
}

const finalText = 0x81;
const finalBinary = 0x82;

/** Makes a WebSocket frame, unmasked as servers send them (RFC 6455 section 5.2). */
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

let formatCount = 0;

function format(encode: Format["encode"]): Format {
  return { index: formatCount++, encode };
}

/** Protobuf, each event in a WebSocket frame. */
export const webSocketProto = format((event) => webSocketFrame(finalBinary, event.binary));
/** JSON, each event in a WebSocket frame. */
export const webSocketJson = format((event) => webSocketFrame(finalText, Buffer.from(event.json)));

/** Bytes of JSON around the message in an event that has one: `{"message":` and `}`. */
const aroundMessage = ['{"message":'.length, 1] as const;
/** The JSON of the message alone, for a frame that has one. Feeds that are read by plain HTTP join these. */
export const messageJson = format(({ json }) => Buffer.from(json.slice(aroundMessage[0], -aroundMessage[1])));

/** The two formats of events in envelopes, for one codec and encoding. */
export interface Enveloped {
  /** Envelopes alone, for HTTP/2 and unchunked bodies. */
  readonly plain: Format;
  /** Each envelope in a chunk of an HTTP/1.1 body. */
  readonly chunked: Format;
}

function enveloped(payload: (event: Encodable) => Uint8Array, compress?: Compress): Enveloped {
  return {
    plain: format((event) => envelope(payload(event), compress, false)),
    chunked: format((event) => envelope(payload(event), compress, true)),
  };
}

function inEncodings(payload: (event: Encodable) => Uint8Array): ReadonlyMap<string, Enveloped> {
  const made = Object.entries(encodings).map(([name, compress]) => [name, enveloped(payload, compress)] as const);
  return new Map([["identity", enveloped(payload)], ...made]);
}

const proto = inEncodings((event) => event.binary);
const json = inEncodings((event) => Buffer.from(event.json));

/** The formats for the codec and encoding that were negotiated; an unknown encoding counts as `identity`. */
export function envelopedIn(codec: "proto" | "json", encoding = "identity"): Enveloped {
  const all = codec === "json" ? json : proto;
  return all.get(encoding) ?? (all.get("identity") as Enveloped);
}
