/** Sends bytes that no well-behaved client sends, and reads the response. */
import { connect as connectHttp2 } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { describe, type FullRefusal } from "./wire.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A response. */
export interface Answer {
  /** The HTTP status; 0 when the connection was closed without a response. */
  readonly status: number;
  /** The error; unset when the call succeeded, or was refused without an error of the protocol. */
  readonly refusal?: FullRefusal;
}

/** Puts a message into the envelope of streams. */
export function envelope(data: Uint8Array | string, flags = 0, promised?: number): Bytes {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  const all = new Uint8Array(5 + bytes.length);
  all[0] = flags;
  new DataView(all.buffer).setUint32(1, promised ?? bytes.length);
  all.set(bytes, 5);
  return all;
}

/** The path of a method of PushService. */
export function pathOf(method: string): string {
  return `/tidings.v1.PushService/${method}`;
}

/** Sends a request over HTTP/1.1, by Connect or gRPC-Web, as its content type says. */
export async function post(
  url: string,
  body: Bytes | string,
  headers: Record<string, string>,
  verb = "POST",
): Promise<Answer> {
  const response = await fetch(url, { method: verb, headers, ...(verb === "GET" ? {} : { body }) });
  const bytes = new Uint8Array(await response.arrayBuffer());
  const { status } = response;
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("application/grpc-web"))
    return { status, ...refused(endOfGrpcWeb(bytes) ?? findTrailerError(response.headers)) };
  if (type.startsWith("application/connect+")) return { status, ...refused(endOfConnect(bytes)) };
  if (status === 200 || !type.startsWith("application/json")) return { status };
  return { status, ...refused(errorFromJsonBytes(bytes, undefined, new ConnectError("no error", Code.Unknown))) };
}

/** Sends a request of gRPC over cleartext HTTP/2. */
export function postGrpc(url: string, body: Bytes, headers: Record<string, string>): Promise<Answer> {
  const { origin, pathname } = new URL(url);
  const session = connectHttp2(origin);
  return new Promise<Answer>((resolve, reject) => {
    session.on("error", reject);
    const stream = session.request({ ":method": "POST", ":path": pathname, te: "trailers", ...headers });
    const answer = { status: 0, trailer: new Headers() };
    const keep = (fields: Record<string, unknown>) => {
      for (const [name, value] of Object.entries(fields))
        if (!name.startsWith(":")) answer.trailer.set(name, String(value));
    };
    stream.on("response", (fields) => {
      answer.status = Number(fields[":status"]);
      keep(fields);
    });
    stream.on("trailers", keep);
    stream.on("error", () => {});
    stream.on("close", () => resolve({ status: answer.status, ...refused(findTrailerError(answer.trailer)) }));
    stream.resume();
    stream.end(body);
  }).finally(() => session.destroy());
}

function refused(error: ConnectError | undefined): { refusal?: FullRefusal } {
  return error ? { refusal: describe(error) } : {};
}

/** Splits a body into its envelopes, without an incomplete last one. */
function* envelopes(bytes: Bytes): Generator<{ flags: number; data: Bytes }> {
  for (let at = 0; at + 5 <= bytes.length; ) {
    const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(1);
    yield { flags: bytes[at] as number, data: bytes.slice(at + 5, at + 5 + length) };
    at += 5 + length;
  }
}

function endOfConnect(bytes: Bytes): ConnectError | undefined {
  for (const { flags, data } of envelopes(bytes)) {
    if (flags !== 2) continue;
    const { error } = JSON.parse(new TextDecoder().decode(data)) as { error?: unknown };
    if (error === undefined) return undefined;
    return errorFromJsonBytes(new TextEncoder().encode(JSON.stringify(error)), undefined, new ConnectError("no error"));
  }
  return undefined;
}

function endOfGrpcWeb(bytes: Bytes): ConnectError | undefined {
  for (const { flags, data } of envelopes(bytes)) {
    if (flags !== 0x80) continue;
    const fields = new TextDecoder().decode(data).trim().split("\r\n");
    return findTrailerError(new Headers(fields.map((line) => line.split(/: ?(.*)/s, 2) as [string, string])));
  }
  return undefined;
}
