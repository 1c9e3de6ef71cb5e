/** Malformed requests, and the errors that refuse them. */
import { brotliCompressSync, gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Kind, PublishRequestSchema } from "../../../src/gen.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A malformed body, and the error that refuses it. */
export interface BodyRow {
  readonly name: string;
  readonly body: Bytes | string;
  readonly headers?: Record<string, string>;
  readonly code: string;
  readonly reason: string;
}

const bodyInvalid = { code: "InvalidArgument", reason: "BODY_INVALID" } as const;
const tooLarge = { code: "ResourceExhausted", reason: "REQUEST_TOO_LARGE" } as const;
const unsupported = { code: "Unimplemented", reason: "PROTOCOL_UNSUPPORTED" } as const;

const json = '{"audience":{"userId":"ann"},"message":{"kind":"KIND_EVENT","title":"t"}}';
const proto = toBinary(
  PublishRequestSchema,
  create(PublishRequestSchema, {
    audience: { to: { case: "userId", value: "ann" } },
    message: { kind: Kind.NOTIFICATION, title: "never to be seen" },
  }),
);

function bytes(...values: number[]): Bytes {
  return new Uint8Array(values);
}

function copy(data: Uint8Array): Bytes {
  return new Uint8Array(data);
}

/** A JSON request whose title consists of these bytes. */
function titled(...values: number[]): Bytes {
  const [before = "", after = ""] = json.split('"t"');
  return copy(Buffer.concat([Buffer.from(`${before}"`), bytes(...values), Buffer.from(`"${after}`)]));
}

function deep(levels: number): string {
  return json.replace('"title"', `"json":${"[".repeat(levels)}${"]".repeat(levels)},"title"`);
}

/** Compresses to less than a thousandth. */
const bombSource = Buffer.alloc(40_000_000, " ");
const gzipBomb = copy(gzipSync(bombSource));
const brotliBomb = copy(brotliCompressSync(bombSource));

/** Bodies of unary calls in JSON. */
export const jsonBodies: readonly BodyRow[] = [
  { name: "an empty body", body: "", ...bodyInvalid },
  { name: "a full-width comma", body: json.replace(",", "，"), ...bodyInvalid },
  { name: "single quotes", body: json.replaceAll('"', "'"), ...bodyInvalid },
  { name: "a trailing comma", body: json.replace("}}", "},}"), ...bodyInvalid },
  { name: "a missing bracket", body: json.slice(0, -1), ...bodyInvalid },
  { name: "two documents", body: json + json, ...bodyInvalid },
  { name: "null", body: "null", ...bodyInvalid },
  { name: "a list", body: "[]", ...bodyInvalid },
  { name: "a string", body: '"text"', ...bodyInvalid },
  { name: "NaN", body: json.replace('"t"', '"t","json":NaN'), ...bodyInvalid },
  { name: "a number instead of a string", body: json.replace('"t"', "7"), ...bodyInvalid },
  { name: "two audiences", body: json.replace('"ann"', '"ann","tenant":true'), ...bodyInvalid },
  { name: "binary data that is not base64", body: json.replace('"t"', '"t","binary":"%%%"'), ...bodyInvalid },
  { name: "a ttl that is not a duration", body: json.replace('"t"', '"t","ttl":"soon"'), ...bodyInvalid },
  { name: "bytes that are not UTF-8", body: titled(0xff, 0xfe), ...bodyInvalid },
  { name: "an overlong encoding", body: titled(0xc0, 0xaf), ...bodyInvalid },
  { name: "a surrogate in UTF-8", body: titled(0xed, 0xa0, 0x80), ...bodyInvalid },
  { name: "half a surrogate pair", body: json.replace('"t"', '"\\ud800"'), ...bodyInvalid },
  { name: "lists 100 levels deep", body: deep(100), ...bodyInvalid },
  { name: "lists 100,000 levels deep", body: deep(100_000), ...bodyInvalid },
  { name: "a broken gzip", body: "no gzip", headers: { "content-encoding": "gzip" }, ...bodyInvalid },
  {
    name: "half a gzip",
    body: copy(gzipSync(json).subarray(0, 20)),
    headers: { "content-encoding": "gzip" },
    ...bodyInvalid,
  },
  { name: "a broken brotli", body: "no brotli", headers: { "content-encoding": "br" }, ...bodyInvalid },
  { name: "a gzip bomb", body: gzipBomb, headers: { "content-encoding": "gzip" }, ...tooLarge },
  { name: "a brotli bomb", body: brotliBomb, headers: { "content-encoding": "br" }, ...tooLarge },
  { name: "an unknown encoding", body: json, headers: { "content-encoding": "zstd" }, ...unsupported },
  { name: "a body over 3 MiB", body: json.replace('"t"', `"${"x".repeat(3 * 1024 * 1024)}"`), ...tooLarge },
  { name: "a timeout that is not a number", body: json, headers: { "connect-timeout-ms": "soon" }, ...bodyInvalid },
];

/** Bodies in Protobuf: of a unary call, or of one message of a stream. */
export const protoBodies: readonly BodyRow[] = [
  { name: "random bytes", body: bytes(0xff, 0xff, 0xff, 0x07, 0x00), ...bodyInvalid },
  { name: "half a message", body: proto.slice(0, -3), ...bodyInvalid },
  { name: "a length beyond the end", body: bytes(0x12, 0x7f), ...bodyInvalid },
  { name: "a varint without end", body: bytes(0x08, ...Array(11).fill(0xff)), ...bodyInvalid },
  { name: "the reserved wire type 7", body: bytes(0x0f, 0x00), ...bodyInvalid },
  { name: "field number 0", body: bytes(0x00, 0x00), ...bodyInvalid },
  { name: "groups in groups", body: new Uint8Array(5_000).fill(0x0b), ...bodyInvalid },
  {
    name: "a title that is not UTF-8",
    body: bytes(0x12, 5, 0x0a, 3, 97, 98, 99, 0x1a, 6, 0x08, 1, 0x1a, 2, 0xff, 0xfe),
    ...bodyInvalid,
  },
  { name: "a user id that is not UTF-8", body: bytes(0x12, 4, 0x0a, 2, 0xc3, 0x28, 0x1a, 2, 0x08, 1), ...bodyInvalid },
];

/** A valid request in Protobuf, for rows with a malformed envelope. */
export const goodProto: Bytes = proto;
/** The gzip bomb, for envelopes. */
export const bomb: Bytes = gzipBomb;
