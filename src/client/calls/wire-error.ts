/** Decodes errors of the Connect protocol and of the Connect libraries, without the Protobuf runtime. */
import { codeOfName, codeOfNumber, type ErrorExtras, sentenceOf, TidingsError } from "../tidings-error.ts";

/**
 * Decodes an error in Connect's JSON, `{code, message, details: [{type, value}]}`; undefined if the value is none.
 * Source: https://connectrpc.com/docs/protocol#error-end-stream
 */
export function errorFromJson(json: unknown): TidingsError | undefined {
  const { code: name, message, details } = asRecord(json);
  const code = codeOfName(name);
  return code && new TidingsError(code, `${message ?? code}`, readDetails(details));
}

/**
 * The error for an unexpected HTTP response. Only a Connect error comes from a Tidings server. Any other response comes
 * from an intermediary, such as a proxy during a deployment, and counts as unavailable, since it may be transient.
 */
export async function errorFromResponse(response: Response): Promise<TidingsError> {
  const text = await response.text();
  try {
    const error = errorFromJson(JSON.parse(text));
    if (error) return error;
  } catch {
    // The body is not JSON, so it is no Connect error.
  }
  const code = response.status === 401 ? "unauthenticated" : "unavailable";
  return new TidingsError(code, `HTTP ${response.status}: is this the URL of a Tidings server?`);
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
  return new TidingsError(code, rawMessage, { ...readDetails(detailsInJson(details)), cause: thrown });
}

/**
 * The error for the close of a WebSocket: its code is 4000 plus the number of the error's code, its text `REASON:
 * sentence`.
 */
export function errorFromClose(code: number, text: string): TidingsError {
  const named = codeOfNumber(code - 4000);
  if (named === undefined) return new TidingsError("unavailable", text || `the WebSocket closed with code ${code}`);
  const [, reason, sentence, field] = /^([A-Z_]+): ((\S+): .*|.*)$/s.exec(text) ?? [];
  return new TidingsError(named, sentence || text || named, { reason, field });
}

/** A detail of an error, which is a google.protobuf.Any: the name of a type, and bytes, in JSON as base64. */
interface Detail<V> {
  readonly type: unknown;
  readonly value: V;
}

/** The details of a ConnectError, which have bytes, in their form in JSON. */
function* detailsInJson(details: unknown): Generator<Detail<string>> {
  for (const { type, value } of details as Iterable<Detail<Uint8Array>>) {
    yield { type, value: btoa(String.fromCharCode(...value)) };
  }
}

/**
 * An encoded google.rpc.ErrorInfo of the domain `tidings`; proxies and other services send theirs with another domain. The groups
 * are its reason, and the value of the key `field` in its metadata. Each character is a byte, and each dot a tag or a length.
 */
const errorInfo = /^\n.(\w+)..tidings(?:.*\n.field..([ -~]*))?/s;

/** Reads the details of an error in JSON. Stops at a malformed detail; the rest of the error is still valid. */
function readDetails(details: unknown): ErrorExtras {
  const read: { -readonly [K in keyof ErrorExtras]: ErrorExtras[K] } = {};
  try {
    for (const { type, value } of details as Iterable<Detail<string>>) {
      const bytes = atob(value);
      const [match, reason, field] = errorInfo.exec(bytes) ?? [];
      if (match && type === "google.rpc.ErrorInfo") Object.assign(read, { reason, field });
      // Behind the tag and the length of its only field.
      if (type === "google.rpc.RetryInfo") read.retryAfterMs = durationMs(bytes.slice(2));
    }
  } catch {}
  return read;
}

/** An encoded google.protobuf.Duration in ms: `\b` before the seconds, another tag before the nanoseconds. */
function durationMs(bytes: string): number {
  let milliseconds = 0;
  for (const [, tag, varint = ""] of bytes.matchAll(/(.)([\x80-\xff]*[^\x80-\xff])/gs)) {
    const value = [...varint].reduceRight((number, byte) => number * 128 + (byte.charCodeAt(0) & 127), 0);
    milliseconds += tag === "\b" ? value * 1000 : value / 1_000_000;
  }
  return milliseconds;
}

/** The properties of a value, which for all but objects are those of its wrapper object, or none. */
function asRecord(value: unknown): Record<string, unknown> {
  return (value ?? {}) as Record<string, unknown>;
}
