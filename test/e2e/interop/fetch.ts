/** Drives the Connect protocol (https://connectrpc.com/docs/protocol) with plain fetch and JSON, without a library. */
import type { JsonValue } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { decodeDetails, type WireError } from "./details.ts";
import { type Call, CallError, type Driver, endedSilently, Inflow } from "./driver.ts";

const headerBytes = 5;
/** The flag of the last envelope. */
const endStream = 2;

/** Creates a driver. With `get`, it calls methods without side effects by GET. */
export function fetchDriver(url: string, get: boolean): Driver {
  async function feed(call: Call, signal: AbortSignal, inflow: Inflow): Promise<void> {
    try {
      const response = await fetch(urlOf(url, call), {
        method: "POST",
        headers: { ...headersOf(call), "content-type": "application/connect+json" },
        body: envelope(JSON.stringify(call.request)),
        signal,
      });
      if (!response.ok || !response.body) throw new Error(`the stream is answered with ${response.status}`);
      for await (const { flags, text } of envelopes(response.body)) {
        if (flags === 0) inflow.push(JSON.parse(text) as JsonValue);
        else if (flags === endStream) inflow.end(endOf(JSON.parse(text) as { error?: WireError }));
        else throw new Error(`an envelope has the flags ${flags}`);
      }
      throw new Error("the body ended without an end of the stream");
    } catch (error) {
      inflow.end(error as Error);
    }
  }

  return {
    async unary(call) {
      const useGet = get && call.method.idempotency === Idempotency.NO_SIDE_EFFECTS;
      const response = useGet ? await ask(url, call) : await post(url, call);
      expectJson(response);
      if (!response.ok) throw toCallError((await response.json()) as WireError);
      return (await response.json()) as JsonValue;
    },
    stream(call) {
      const abort = new AbortController();
      const inflow = new Inflow(() => abort.abort());
      void feed(call, abort.signal, inflow);
      return inflow;
    },
    close() {},
  };
}

function post(url: string, call: Call): Promise<Response> {
  const headers = { ...headersOf(call), "content-type": "application/json" };
  return fetch(urlOf(url, call), { method: "POST", headers, body: JSON.stringify(call.request) });
}

function ask(url: string, call: Call): Promise<Response> {
  const query = new URLSearchParams({ connect: "v1", encoding: "json", message: JSON.stringify(call.request) });
  return fetch(`${urlOf(url, call)}?${query}`, { headers: headersOf(call) });
}

function urlOf(url: string, { method }: Call): string {
  return `${url}/${method.parent.typeName}/${method.name}`;
}

function headersOf({ token, timeoutMs }: Call): Record<string, string> {
  return {
    "connect-protocol-version": "1",
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(timeoutMs === undefined ? {} : { "connect-timeout-ms": String(timeoutMs) }),
  };
}

function expectJson(response: Response): void {
  const type = response.headers.get("content-type");
  if (type !== "application/json") throw new Error(`${response.status} with the content type ${type}`);
}

function endOf({ error }: { error?: WireError }): Error {
  return error ? toCallError(error) : endedSilently();
}

function toCallError(error: WireError): CallError {
  return new CallError(error.code ?? "", error.message ?? "", decodeDetails(error));
}

function envelope(text: string): Uint8Array<ArrayBuffer> {
  const data = Buffer.from(text);
  const bytes = new Uint8Array(headerBytes + data.length);
  new DataView(bytes.buffer).setUint32(1, data.length);
  bytes.set(data, headerBytes);
  return bytes;
}

async function* envelopes(body: ReadableStream<Uint8Array>): AsyncGenerator<{ flags: number; text: string }> {
  let rest = Buffer.alloc(0);
  for await (const chunk of body) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= headerBytes && rest.length >= headerBytes + rest.readUInt32BE(1)) {
      const end = headerBytes + rest.readUInt32BE(1);
      yield { flags: rest[0] ?? 0, text: rest.toString("utf8", headerBytes, end) };
      rest = rest.subarray(end);
    }
  }
}
