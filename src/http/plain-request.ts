/** Recognises requests that need only the basic Connect protocol, which a short handler serves. */
import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { parseTimeout } from "@connectrpc/connect/protocol-connect";

/** The codec of a message in a request. */
export type PlainCodec = "json" | "proto";

/** A request of the Connect protocol without compression or other rare features. */
export interface PlainRequest {
  readonly codec: PlainCodec;
  /** The header Content-Length, in bytes; undefined for a body of unknown length, or none. */
  readonly length: number | undefined;
  /** How long the caller waits, in ms; undefined for a call without a deadline. */
  readonly timeoutMs: number | undefined;
}

/** The rules for plain requests to a method. */
export interface PlainRules {
  /** The codecs by media type, spelled as the client libraries do. Another spelling is not plain. */
  readonly mediaTypes: ReadonlyMap<string, PlainCodec>;
  /** The header that names the compression of the request. */
  readonly encodingHeader: string;
  /** The longest deadline, in ms. */
  readonly maxTimeoutMs: number;
}

const digits = /^\d{1,15}$/;

/**
 * Describes a request that is plain; returns undefined for any other, which belongs to the stock handler. `path` is the path
 * of the method: a request with a query is not plain.
 */
export function plainRequest(request: IncomingMessage, path: string, rules: PlainRules): PlainRequest | undefined {
  const { method, url, headers } = request;
  if (method !== "POST" || url !== path) return undefined;
  const codec = rules.mediaTypes.get(headers["content-type"] ?? "");
  const encoding = headers[rules.encodingHeader];
  if (codec === undefined || (encoding !== undefined && encoding !== "identity")) return undefined;
  const length = headers["content-length"];
  if (length !== undefined && !digits.test(length)) return undefined;
  const timeout = headers["connect-timeout-ms"] as string | undefined;
  let timeoutMs: number | undefined;
  if (timeout !== undefined) {
    const parsed = parseTimeout(timeout, rules.maxTimeoutMs);
    // A deadline of 0 has passed before the call begins.
    if (parsed.error || !parsed.timeoutMs) return undefined;
    timeoutMs = parsed.timeoutMs;
  }
  if (!hasUrl(request, path)) return undefined;
  return { codec, length: length === undefined ? undefined : Number(length), timeoutMs };
}

/** Whether the host of a request is valid in a URL. The stock handler answers requests with any other host. */
function hasUrl(request: IncomingMessage, path: string): boolean {
  if (!("stream" in request)) return URL.canParse(`http://${request.headers.host}${path}`);
  const { authority } = request as unknown as Http2ServerRequest;
  return Boolean(authority) && URL.canParse(`http://${authority}`);
}
