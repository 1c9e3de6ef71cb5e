/** Decodes errors of the Connect protocol and of the Connect libraries, without the Protobuf runtime. */
import { codeOfName, codeOfNumber, sentenceOf, TidingsError } from "../tidings-error.ts";

/** A detail of an error, a google.protobuf.Any: the name of its type, and its bytes. */
interface Detail {
  readonly type: string;
  readonly bytes: Uint8Array;
}

/**
 * Decodes an error in Connect's JSON, `{code, message, details: [{type, value}]}`; undefined if the value is none.
 * Source: https://connectrpc.com/docs/protocol#error-end-stream
 */
export function errorFromJson(json: unknown): TidingsError | undefined {
  const { code: name, message, details } = asRecord(json);
  const code = codeOfName(name);
  if (code === undefined) return undefined;
  const read = (Array.isArray(details) ? details : []).flatMap((detail: unknown) => {
    const { type, value } = asRecord(detail);
    return typeof type === "string" && typeof value === "string" ? [{ type, bytes: fromBase64(value) }] : [];
  });
  return new TidingsError(code, typeof message === "string" ? message : code, readDetails(read));
}

/**
 * The error for an unexpected HTTP response. Only a Connect error comes from a Tidings server. Any other response comes
 * from an intermediary, such as a proxy during a deployment, and counts as unavailable, since it may be transient.
 */
export async function errorFromResponse(response: Response): Promise<TidingsError> {
  const text = await response.text();
  try {
    const error = errorFromJson(JSON.parse(text));
    if (error !== undefined) return error;
  } catch {
    // The body is not JSON, so it is no Connect error.
  }
  const code = response.status === 401 ? "unauthenticated" : "unavailable";
  return new TidingsError(
    code,
    `HTTP ${response.status} without a Connect error: is this the URL of a Tidings server?`,
  );
}

/** The error for any thrown value. One of fetch, a parser or a callback counts as unavailable: it may be transient. */
export function errorFromThrown(thrown: unknown): TidingsError {
  return thrown instanceof TidingsError
    ? thrown
    : new TidingsError("unavailable", sentenceOf(thrown), { cause: thrown });
}

/** The error for any value that a Connect library threw: a ConnectError keeps its code and details. */
export function errorFromConnect(thrown: unknown): TidingsError {
  const { code: number, rawMessage, details } = asRecord(thrown);
  const code = typeof number === "number" ? codeOfNumber(number) : undefined;
  if (code === undefined || typeof rawMessage !== "string") {
    return errorFromThrown(thrown);
  }
  const read = (Array.isArray(details) ? details : []).flatMap((detail: unknown) => {
    const { type, value } = asRecord(detail);
    return typeof type === "string" && value instanceof Uint8Array ? [{ type, bytes: value }] : [];
  });
  return new TidingsError(code, rawMessage, { ...readDetails(read), cause: thrown });
}

/**
 * The error for the close of a WebSocket: its code is 4000 plus the number of the error's code, its text `REASON:
 * sentence`.
 */
export function errorFromClose(code: number, text: string): TidingsError {
  const named = codeOfNumber(code - 4000);
  if (named === undefined) return new TidingsError("unavailable", text || `the WebSocket closed with code ${code}`);
  const [, reason, sentence] = /^([A-Z][A-Z0-9_]*): (.*)$/s.exec(text) ?? [];
  return new TidingsError(named, sentence ?? (text || named), { reason });
}

function readDetails(details: readonly Detail[]): { reason?: string; retryAfterMs?: number } {
  const read: { reason?: string; retryAfterMs?: number } = {};
  for (const { type, bytes } of details) {
    // A malformed detail is ignored; the rest of the error is still valid.
    try {
      if (type === "google.rpc.ErrorInfo") read.reason = new TextDecoder().decode(bytesOf(fields(bytes).get(1)));
      if (type === "google.rpc.RetryInfo") read.retryAfterMs = milliseconds(bytesOf(fields(bytes).get(1)));
    } catch {}
  }
  return read;
}

/** A google.protobuf.Duration in ms. */
function milliseconds(duration: Uint8Array): number {
  const parts = fields(duration);
  return Number(parts.get(1) ?? 0) * 1000 + Number(parts.get(2) ?? 0) / 1e6;
}

function bytesOf(field: number | Uint8Array | undefined): Uint8Array {
  return field instanceof Uint8Array ? field : new Uint8Array();
}

/**
 * The fields of a Protobuf message by number: varints as numbers, others as bytes. The last value of a field counts.
 */
function fields(bytes: Uint8Array): Map<number, number | Uint8Array> {
  const found = new Map<number, number | Uint8Array>();
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++];
      if (byte === undefined || factor > 2 ** 63) throw new RangeError("truncated");
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    if ((tag & 7) === 0) {
      found.set(tag >>> 3, varint());
      continue;
    }
    const size = (tag & 7) === 2 ? varint() : (tag & 7) === 1 ? 8 : 4;
    found.set(tag >>> 3, bytes.subarray(at, at + size));
    at += size;
  }
  return found;
}

function fromBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
