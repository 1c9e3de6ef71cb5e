/** Reads the errors of the Connect protocol and of its libraries, without the Protobuf runtime. */
import { codeOfName, codeOfNumber, sentenceOf, TidingsError } from "../tidings-error.ts";

/** A google.protobuf.Any of an error: the name of its type, and its bytes. */
interface Detail {
  readonly type: string;
  readonly bytes: Uint8Array;
}

/**
 * An error as Connect writes it in JSON: `{code, message, details: [{type, value}]}`; `undefined` if it is not one.
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
 * The error of an HTTP answer that is not what was asked for. Only a Connect error speaks for a Tidings server. Any other
 * answer comes from something in between, such as a proxy during a deployment, and counts as unavailable: it may pass.
 */
export async function errorFromResponse(response: Response): Promise<TidingsError> {
  const text = await response.text();
  try {
    const error = errorFromJson(JSON.parse(text));
    if (error !== undefined) return error;
  } catch {
    // Not JSON, so not a Connect error.
  }
  const code = response.status === 401 ? "unauthenticated" : "unavailable";
  return new TidingsError(
    code,
    `HTTP ${response.status} without a Connect error: is this the URL of a Tidings server?`,
  );
}

/** The error for any thrown value. What fetch, a parser or a callback throws may pass, so it counts as unavailable. */
export function errorFromThrown(thrown: unknown): TidingsError {
  return thrown instanceof TidingsError
    ? thrown
    : new TidingsError("unavailable", sentenceOf(thrown), { cause: thrown });
}

/** As errorFromThrown, but a ConnectError keeps its code and details. */
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

/** The error of a WebSocket's close: 4000 + the number of the code, and the text `REASON: sentence`. */
export function errorFromClose(code: number, text: string): TidingsError {
  const named = codeOfNumber(code - 4000);
  if (named === undefined) return new TidingsError("unavailable", text || `the WebSocket closed with code ${code}`);
  const [, reason, sentence] = /^([A-Z][A-Z0-9_]*): (.*)$/s.exec(text) ?? [];
  return new TidingsError(named, sentence ?? (text || named), { reason });
}

function readDetails(details: readonly Detail[]): { reason?: string; retryAfterMs?: number } {
  const read: { reason?: string; retryAfterMs?: number } = {};
  for (const { type, bytes } of details) {
    // A detail that cannot be read costs the detail, not the error.
    try {
      if (type === "google.rpc.ErrorInfo") read.reason = new TextDecoder().decode(bytesOf(fields(bytes).get(1)));
      if (type === "google.rpc.RetryInfo") read.retryAfterMs = milliseconds(bytesOf(fields(bytes).get(1)));
    } catch {}
  }
  return read;
}

/** A google.protobuf.Duration. */
function milliseconds(duration: Uint8Array): number {
  const parts = fields(duration);
  return Number(parts.get(1) ?? 0) * 1000 + Number(parts.get(2) ?? 0) / 1e6;
}

function bytesOf(field: number | Uint8Array | undefined): Uint8Array {
  return field instanceof Uint8Array ? field : new Uint8Array();
}

/** The fields of a Protobuf message by number: varints as numbers, the rest as bytes; the last of a number counts. */
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
