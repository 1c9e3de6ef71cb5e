/**
 * The forms in which a client may call: Connect, gRPC, gRPC-Web and the WebSocket bridge, each in JSON or Protobuf. They
 * are written out here, because the libraries never send a wrong or a half answer.
 */
import { gunzipSync } from "node:zlib";
import {
  createRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type MessageShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { endStreamToJson, errorToJson } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";

/** The form of one call. */
export interface Form {
  readonly protocol: "connect" | "connect-stream" | "grpc" | "grpc-web" | "bridge";
  readonly json: boolean;
}

/** A message in both encodings. It can have unknown fields, which the generated code cannot express. */
export interface RawMessage {
  readonly json: string;
  readonly binary: Uint8Array;
}

/** The types of the details of errors, which Connect shows in clear beside their bytes. */
const registry = createRegistry(ErrorInfoSchema, BadRequestSchema, RetryInfoSchema);

const headerBytes = 5;
/** The flag of Connect's last envelope. */
const endStreamFlag = 2;
/** The flag of the envelope with the trailers of gRPC-Web. */
const trailerFlag = 0x80;

/** The form that a Content-Type asks for; undefined for one that no Tidings server takes. */
export function formOf(contentType: string): Form | undefined {
  const [, name = ""] = /^application\/([^;\s]+)/.exec(contentType) ?? [];
  const match = /^(?:(connect|grpc|grpc-web)(?:\+(json|proto))?|(json|proto))$/.exec(name);
  if (match === null) return undefined;
  const [, streaming, codec, unary] = match;
  if (streaming === undefined) return { protocol: "connect", json: unary === "json" };
  const protocol = streaming === "connect" ? "connect-stream" : (streaming as "grpc" | "grpc-web");
  return { protocol, json: codec === "json" };
}

/** The Content-Type of an answer. */
export function contentTypeOf({ protocol, json }: Form): string {
  const codec = json ? "json" : "proto";
  if (protocol === "connect") return `application/${codec}`;
  return `application/${protocol === "connect-stream" ? "connect" : protocol}+${codec}`;
}

/** Decodes the body of a request. Throws for a body that holds no such message. */
export function decodeRequest<D extends DescMessage>(schema: D, form: Form, body: Buffer, encoding: string) {
  const isBare = form.protocol === "connect" || form.protocol === "bridge";
  const flags = isBare ? 0 : (body[0] ?? 0);
  const data = isBare ? body : body.subarray(headerBytes, headerBytes + body.readUInt32BE(1));
  return decode(schema, form, (isBare && encoding === "gzip") || flags & 1 ? gunzipSync(data) : data);
}

function decode<D extends DescMessage>(schema: D, { json }: Form, data: Buffer): MessageShape<D> {
  return json ? fromJson(schema, JSON.parse(data.toString() || "{}")) : fromBinary(schema, data);
}

/** Encodes a message in both encodings. */
export function rawOf<D extends DescMessage>(schema: D, message: MessageShape<D>): RawMessage {
  return { json: toJsonString(schema, message), binary: toBinary(schema, message) };
}

/** The bytes of one message, in the envelope or frame of its form. */
export function frameOf(form: Form, { json, binary }: RawMessage): Buffer {
  const data = form.json ? Buffer.from(json) : Buffer.from(binary);
  if (form.protocol === "connect") return data;
  return form.protocol === "bridge" ? webSocketFrame(form.json ? 1 : 2, data) : envelope(0, data);
}

/** The last bytes of a stream over HTTP; those of gRPC are in its trailers. */
export function endOf(form: Form, error: ConnectError | undefined): Buffer {
  if (form.protocol === "connect-stream") {
    return envelope(endStreamFlag, Buffer.from(JSON.stringify(endStreamToJson(new Headers(), error, { registry }))));
  }
  if (form.protocol !== "grpc-web") return Buffer.alloc(0);
  return envelope(trailerFlag, Buffer.from(trailerSerialize(setTrailerStatus(new Headers(), error))));
}

/** The trailers with which a call over gRPC ends. */
export function trailersOf(error: ConnectError | undefined): Record<string, string> {
  return Object.fromEntries(setTrailerStatus(new Headers(), error));
}

/** The body of the error of a unary call over Connect. */
export function errorBody(error: ConnectError): string {
  return JSON.stringify(errorToJson(error, { registry }));
}

function envelope(flags: number, data: Buffer): Buffer {
  const header = Buffer.alloc(headerBytes);
  header[0] = flags;
  header.writeUInt32BE(data.length, 1);
  return Buffer.concat([header, data]);
}

/** A whole frame of RFC 6455, as a server sends it: without a mask. */
function webSocketFrame(opcode: number, data: Buffer): Buffer {
  const { length } = data;
  let header: Buffer;
  if (length < 126) header = Buffer.from([0x80 | opcode, length]);
  else if (length < 65_536) {
    header = Buffer.from([0x80 | opcode, 126, 0, 0]);
    header.writeUInt16BE(length, 2);
  } else {
    header = Buffer.alloc(10);
    header[0] = 0x80 | opcode;
    header[1] = 127;
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([header, data]);
}
