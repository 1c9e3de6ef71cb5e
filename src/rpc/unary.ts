/**
 * The short handler of plain unary requests: the Connect protocol over HTTP/1.1 and HTTP/2 without the machinery that
 * Connect's own handlers set up for each call (signals, Headers, interceptors, iterables of one item). Gate, services, limits,
 * codecs and errors are those of the stock handler, and a client cannot tell the two apart.
 */
import { create, type DescMethod } from "@bufbuild/protobuf";
import {
  compressionNegotiate,
  createMethodSerializationLookup,
  mergeNonProtocolHeaders,
  validateUniversalHandlerOptions,
} from "@connectrpc/connect/protocol";
import { codeToHttpStatus, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { RequestJson } from "../contract/request-json.ts";
import type { Core } from "../core/core.ts";
import type { Exchange, ShortHandler } from "../http/adapter.ts";
import { responseHeaders } from "../http/embedded-routes.ts";
import { acceptCompression, endBody, readBody, writeBody } from "../http/exchange.ts";
import { type PlainCodec, type PlainRequest, type PlainRules, plainRequest } from "../http/plain-request.ts";
import { Gate, type GateCall, type Passage, requestIdHeader } from "./gate.ts";
import { handlerOptions, type UnaryImplementation, unaryMethods } from "./routes.ts";
import { ShortCall, toConnectError } from "./short-call.ts";

const mediaTypes: ReadonlyMap<string, PlainCodec> = new Map([
  ["application/json", "json"],
  ["application/json; charset=utf-8", "json"],
  ["application/proto", "proto"],
]);
const contentTypes = { json: "application/json", proto: "application/proto" } as const;

/** Creates the short handlers of all unary methods, by the path of the method. */
export function createUnaryHandlers(core: Core): ReadonlyMap<string, ShortHandler> {
  const gate = new Gate(core, core.context.settings.logger);
  return new Map(
    [...unaryMethods(core)].map(([method, implementation]) => {
      const handler = new UnaryHandler(method, implementation, gate, core.context.settings.ignoreUnknownFields);
      return [handler.path, handler];
    }),
  );
}

/** A text in place of its bytes, for a serializer that only counts these: the socket encodes the text as it copies it. */
class EncodedText {
  readonly text: string;
  readonly byteLength: number;

  constructor(text: string) {
    this.text = text;
    this.byteLength = Buffer.byteLength(text);
  }
}

/** A longer text is encoded at once and dropped, since its answer may wait for a slow peer. */
const maxTextLength = 16 * 1024;
const textEncoder = {
  encode: (text: string) => (text.length > maxTextLength ? Buffer.from(text) : new EncodedText(text)),
};

/** An answer before it is written. */
interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array | EncodedText;
  /** Headers that come with an error. */
  readonly metadata?: Headers;
}

class UnaryHandler implements ShortHandler {
  /** The path of the method. */
  readonly path: string;
  readonly #method: DescMethod;
  readonly #implementation: UnaryImplementation;
  readonly #begin: (call: GateCall) => Passage;
  readonly #text: RequestJson<DescMethod["input"]>;
  readonly #options: ReturnType<typeof validateUniversalHandlerOptions>;
  readonly #serialization: ReturnType<typeof createMethodSerializationLookup>;
  readonly #rules: PlainRules;

  constructor(method: DescMethod, implementation: UnaryImplementation, gate: Gate, ignoreUnknownFields: boolean) {
    this.path = `/${method.parent.typeName}/${method.name}`;
    this.#method = method;
    this.#implementation = implementation;
    this.#text = new RequestJson(method.input, ignoreUnknownFields);
    this.#begin = gate.method(method, this.#text);
    const options = handlerOptions(method, this.#text, ignoreUnknownFields);
    this.#options = validateUniversalHandlerOptions(options);
    this.#serialization = createMethodSerializationLookup(
      method,
      options.binaryOptions,
      { ...options.jsonOptions, textEncoder } as typeof options.jsonOptions,
      this.#options,
    );
    this.#rules = { mediaTypes, encodingHeader: "content-encoding", maxTimeoutMs: options.maxTimeoutMs };
  }

  accepts(request: Exchange["request"]): PlainRequest | undefined {
    return plainRequest(request, this.path, this.#rules);
  }

  async serve(plain: PlainRequest, exchange: Exchange): Promise<void> {
    const call = new ShortCall(plain, exchange, this.#begin);
    let answer: Answer;
    try {
      const body = await this.#answer(plain, exchange, call);
      answer = { status: 200, contentType: contentTypes[plain.codec], body };
    } catch (reason) {
      // Before the error is written: its details are completed here.
      call.end(reason);
      answer = this.#failure(reason);
    }
    call.end(undefined);
    // Not awaited, so that this frame is not kept in memory while a slow peer takes the answer.
    return this.#send(answer, exchange, call.passage.requestId);
  }

  async #answer(plain: PlainRequest, { request, count }: Exchange, call: ShortCall): Promise<Answer["body"]> {
    const { passage } = call;
    await passage.authorise();
    const room = passage.enter();
    if (room) await room;
    const body = readBody(request, count, plain.length, this.#options.readMaxBytes);
    // Most bodies have arrived by now.
    const bytes = body instanceof Promise ? await body : body;
    call.hasBody = true;
    const isBinary = plain.codec === "proto";
    const input = this.#serialization.getI(isBinary).parse(bytes);
    this.#text.forget();
    const output = await this.#implementation(input as never, passage);
    endBody(request);
    return this.#serialization.getO(isBinary).serialize(create(this.#method.output, output as Record<string, unknown>));
  }

  #failure(reason: unknown): Answer {
    const error = toConnectError(reason);
    const body = errorToJsonBytes(error, this.#options.jsonOptions);
    const answer = { status: codeToHttpStatus(error.code), contentType: contentTypes.json, body };
    // Errors of this server carry no metadata.
    if (error.metadata.keys().next().done) return answer;
    const metadata = new Headers();
    mergeNonProtocolHeaders(metadata, error.metadata);
    return { ...answer, metadata };
  }

  #send(answer: Answer, exchange: Exchange, requestId: string): Promise<void> | undefined {
    const { body } = answer;
    const accepted = exchange.request.headers["accept-encoding"] as string | undefined;
    if (accepted !== undefined && body.byteLength >= this.#options.compressMinBytes) {
      const compression = compressionNegotiate(acceptCompression, null, accepted, "accept-encoding").response;
      if (compression) return sendCompressed(answer, exchange, requestId, compression);
    }
    const length = String(body.byteLength);
    // In the order of Headers, which sorts by name.
    const header = ["content-length", length, "content-type", answer.contentType, requestIdHeader, requestId];
    return send(answer, exchange, header, body);
  }
}

async function sendCompressed(
  answer: Answer,
  exchange: Exchange,
  requestId: string,
  { name, compress }: (typeof acceptCompression)[number],
): Promise<void> {
  const { body, contentType } = answer;
  const compressed = await compress(body instanceof EncodedText ? Buffer.from(body.text) : body);
  const length = String(compressed.byteLength);
  const header = ["content-encoding", name, "content-length", length, "content-type", contentType];
  return send(answer, exchange, [...header, requestIdHeader, requestId], compressed);
}

/** Writes an answer. `header` has names and values in turn. */
function send(
  { status, metadata }: Answer,
  { request, response, unread }: Exchange,
  header: string[],
  body: Answer["body"],
): Promise<void> | undefined {
  const all = metadata ? merged(header, metadata) : header;
  // Node writes a text together with the headers, in one encoding, and only the headers of this file are known to be ASCII.
  const isAscii = !("stream" in request) && response.getHeaderNames().length === 0;
  for (const name in responseHeaders) response.setHeader(name, responseHeaders[name] as string);
  for (let index = 0; index < all.length; index += 2)
    response.setHeader(all[index] as string, all[index + 1] as string);
  response.writeHead(status);
  const bytes = body instanceof EncodedText ? (isAscii && !metadata ? body.text : Buffer.from(body.text)) : body;
  return writeBody(response, bytes, body.byteLength, unread);
}

/** Adds headers to others, in the order of Headers. */
function merged(header: readonly string[], metadata: Headers): string[] {
  const all = new Headers();
  for (let index = 0; index < header.length; index += 2) all.set(header[index] as string, header[index + 1] as string);
  metadata.forEach((value, name) => void all.append(name, value));
  return [...all].flat();
}
