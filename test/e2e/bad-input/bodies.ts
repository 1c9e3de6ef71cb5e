/** Requests that are not even well-formed: a row is what is sent and how it is refused. */
import { brotliCompressSync, gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Kind, PublishRequestSchema } from "../../../src/gen.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** One row. */
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

/** A JSON request with these bytes in the place of its title. */
function titled(...values: number[]): Bytes {
  const [before = "", after = ""] = json.split('"t"');
  return copy(Buffer.concat([Buffer.from(`${before}"`), bytes(...values), Buffer.from(`"${after}`)]));
}

function deep(levels: number): string {
  return json.replace('"title"', `"json":${"[".repeat(levels)}${"]".repeat(levels)},"title"`);
}

/** 1 000 : 1 and more. */
const bombSource = Buffer.alloc(40_000_000, " ");
const gzipBomb = copy(gzipSync(bombSource));
const brotliBomb = copy(brotliCompressSync(bombSource));

/** Bodies of unary calls in JSON. */
export const jsonBodies: readonly BodyRow[] = [
  { name: "nothing", body: "", ...bodyInvalid },
  { name: "a full-width comma", body: json.replace(",", "，"), ...bodyInvalid },
  { name: "single quotes", body: json.replaceAll('"', "'"), ...bodyInvalid },
  { name: "a comma too many", body: json.replace("}}", "},}"), ...bodyInvalid },
  { name: "a bracket too few", body: json.slice(0, -1), ...bodyInvalid },
  { name: "two documents", body: json + json, ...bodyInvalid },
  { name: "null", body: "null", ...bodyInvalid },
  { name: "a list", body: "[]", ...bodyInvalid },
  { name: "a text", body: '"text"', ...bodyInvalid },
  { name: "NaN", body: json.replace('"t"', '"t","json":NaN'), ...bodyInvalid },
  { name: "a number in place of a text", body: json.replace('"t"', "7"), ...bodyInvalid },
  { name: "two audiences", body: json.replace('"ann"', '"ann","tenant":true'), ...bodyInvalid },
  { name: "binary data that is not base64", body: json.replace('"t"', '"t","binary":"%%%"'), ...bodyInvalid },
  { name: "a ttl that is no duration", body: json.replace('"t"', '"t","ttl":"soon"'), ...bodyInvalid },
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
  { name: "3 MiB and more", body: json.replace('"t"', `"${"x".repeat(3 * 1024 * 1024)}"`), ...tooLarge },
  { name: "a timeout that is no number", body: json, headers: { "connect-timeout-ms": "soon" }, ...bodyInvalid },
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

/** A good request in Protobuf: what a row makes wrong around it. */
export const goodProto: Bytes = proto;
/** The bomb, for envelopes. */
export const bomb: Bytes = gzipBomb;
