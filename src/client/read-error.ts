/** Reads errors for programs that call a server with a stock Connect or gRPC client, or with fetch alone. */
import { create, type DescMessage, fromBinary, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { BinaryReader, base64Decode } from "@bufbuild/protobuf/wire";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { codeOfName, codeOfNumber, type ErrorCode, sentenceOf } from "./tidings-error.ts";

/** An invalid field of a request. */
export interface InvalidField {
  /** The path of the field, such as `message.url`. */
  readonly field: string;
  /** One English sentence that says what to do, without the name of the field. */
  readonly description: string;
}

/** The parts of an error that a program acts on. */
export interface ErrorSummary {
  /** The Connect code; `unknown` for a value that is no error of a call. */
  readonly code: ErrorCode;
  /** The server's reason, such as `TOKEN_EXPIRED`; undefined if the error did not come from a Tidings server. */
  readonly reason: string | undefined;
  /** The path of the first invalid field, such as `message.url`; undefined if no field is at fault. */
  readonly field: string | undefined;
  /** All invalid fields, up to 16, as far as the error names them; empty if no field is at fault. */
  readonly fields: readonly InvalidField[];
  /** The delay after which the server suggests a retry, in ms; undefined if it suggests none. */
  readonly retryAfterMs: number | undefined;
  /** One English sentence for people, without the code in front. */
  readonly message: string;
}

/** The parts that the details of an error have. */
interface Details {
  reason?: string | undefined;
  field?: string | undefined;
  retryAfterMs?: number;
  fields?: InvalidField[];
}

/** The most fields of a summary. */
const maxFields = 16;
/** The domain of an ErrorInfo of Tidings; a proxy or another service may send one of its own. */
const domain = "tidings";

/**
 * Reads an error of a call, whichever client made it: a ConnectError of any version of `@connectrpc/connect`, an error of
 * grpc-js, a TidingsError, the body of a refused request (its text, or the JSON in it), or the error in an outcome of
 * PublishBatch. Takes any other value, too, and never throws.
 */
export function readError(error: unknown): ErrorSummary {
  try {
    return summarize(error, true);
  } catch {
    // A getter or a proxy has thrown.
    const nothing = { reason: undefined, field: undefined, fields: [], retryAfterMs: undefined };
    return { code: "unknown", ...nothing, message: "the error cannot be read" };
  }
}

/** `hasCause`: the cause of a TidingsError counts. That of a cause does not: errors may be their own causes. */
function summarize(error: unknown, hasCause: boolean): ErrorSummary {
  const value = typeof error === "string" ? jsonOf(error) : error;
  const { code, name, message, rawMessage, reason, field, retryAfterMs, cause, details, metadata } = asRecord(value);
  // The message of grpc-js begins with the code, so that its sentence is in `details`.
  const sentence = [rawMessage, details, message].find((text) => typeof text === "string");
  const found: Details = {
    reason: textOf(reason),
    field: textOf(field),
    ...(typeof retryAfterMs === "number" ? { retryAfterMs } : {}),
    // The client of Tidings keeps a ConnectError, which names all fields, as the cause of its own.
    ...(hasCause && name === "TidingsError" && cause !== undefined
      ? { fields: [...summarize(cause, false).fields] }
      : {}),
  };
  for (const detail of Array.isArray(details) ? details : detailsOfGrpc(metadata)) readDetail(detail, found);
  const summary = sentence ?? sentenceOf(error);
  const first = found.field ?? found.fields?.[0]?.field;
  return {
    code: (typeof code === "number" ? codeOfNumber(code) : codeOfName(code)) ?? codeOfFetch(name),
    reason: found.reason,
    field: first,
    fields: found.fields?.length || first === undefined ? (found.fields ?? []) : [invalid(first, summary)],
    retryAfterMs: found.retryAfterMs,
    message: summary,
  };
}

/** The code for an error of fetch, or of an AbortSignal. */
function codeOfFetch(name: unknown): ErrorCode {
  if (name === "AbortError") return "canceled";
  return name === "TimeoutError" ? "deadline_exceeded" : "unknown";
}

/** A field that only the sentence of the error describes: `message.url: must be a path`. */
function invalid(field: string, sentence: string): InvalidField {
  const prefix = `${field}: `;
  return { field, description: sentence.startsWith(prefix) ? sentence.slice(prefix.length) : sentence };
}

/** Adds one detail, in any of its forms. A malformed one is left out, since the rest of the error is still valid. */
function readDetail(detail: unknown, found: Details): void {
  try {
    const info = messageOf(detail, ErrorInfoSchema);
    if (info?.domain === domain) {
      found.reason = info.reason;
      found.field = info.metadata.field;
    }
    const request = messageOf(detail, BadRequestSchema);
    if (request) {
      const violations = request.fieldViolations.slice(0, maxFields);
      found.fields = violations.map(({ field, description }) => ({ field, description }));
    }
    const retry = messageOf(detail, RetryInfoSchema);
    if (retry) {
      const { seconds = 0n, nanos = 0 } = retry.retryDelay ?? {};
      found.retryAfterMs = Number(seconds) * 1000 + nanos / 1_000_000;
    }
  } catch {}
}

/**
 * The message in a detail, if it is of this type. ConnectErrors hold `{type, value}` with bytes, and `{desc, value}` where
 * they have not been sent; JSON has bytes as base64.
 */
function messageOf<Desc extends DescMessage>(detail: unknown, schema: Desc): MessageShape<Desc> | undefined {
  const { type, desc, value } = asRecord(detail);
  if (asRecord(desc).typeName === schema.typeName) return create(schema, value as MessageInitShape<Desc>);
  if (type !== schema.typeName) return undefined;
  return fromBinary(schema, typeof value === "string" ? base64Decode(value) : (value as Uint8Array));
}

/**
 * The details of an error of grpc-js, in its metadata as an encoded google.rpc.Status, whose field 3 has them.
 * Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto
 */
function detailsOfGrpc(metadata: unknown): unknown[] {
  const found: unknown[] = [];
  try {
    // A ConnectError has Headers there, which give text.
    const [status] = (metadata as { get(name: string): unknown }).get("grpc-status-details-bin") as unknown[];
    const reader = new BinaryReader(status as Uint8Array);
    while (reader.pos < reader.len) {
      const [number, wireType] = reader.tag();
      if (number === 3) found.push(detailOfAny(fromBinary(AnySchema, reader.bytes())));
      else reader.skip(wireType);
    }
  } catch {}
  return found;
}

function detailOfAny({ typeUrl, value }: Any): object {
  return { type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value };
}

/** The JSON in a text; the text itself where there is none. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The properties of a value, which for all but objects are those of its wrapper object, or none. */
function asRecord(value: unknown): Record<string, unknown> {
  return (value ?? {}) as Record<string, unknown>;
}
