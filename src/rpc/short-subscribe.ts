/**
 * The short handler of plain Subscribe requests: streams of the Connect protocol over HTTP/1.1 without the pipeline of
 * generators that Connect's own handler keeps in memory for each of them. Gate, subscription, codecs and errors are those of
 * the stock handler, and a client cannot tell the two apart.
 */
import type { ServerResponse } from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  compressionNegotiate,
  createAsyncIterable,
  createMethodSerializationLookup,
  encodeEnvelope,
  type MethodSerializationLookup,
  pipe,
  transformDecompressEnvelope,
  transformParseEnvelope,
  transformSplitEnvelope,
  validateUniversalHandlerOptions,
} from "@connectrpc/connect/protocol";
import { createEndStreamSerialization, endStreamFlag } from "@connectrpc/connect/protocol-connect";
import {
  PushService,
  type SubscribeRequest,
  SubscribeRequestSchema,
  type SubscribeResponseSchema,
} from "../../gen/tidings/v1/push_service_pb.ts";
import { RequestJson } from "../contract/request-json.ts";
import type { Core } from "../core/core.ts";
import type { Exchange, ShortHandler } from "../http/adapter.ts";
import { streamHeaders } from "../http/embedded-routes.ts";
import { acceptCompression, isGone, RequestBody } from "../http/exchange.ts";
import { type PlainCodec, type PlainRequest, type PlainRules, plainRequest } from "../http/plain-request.ts";
import { Subscription } from "../stream/subscription.ts";
import { guard, warn } from "../util/guard.ts";
import { envelopedIn } from "../wire/formats.ts";
import type { Frame } from "../wire/frame.ts";
import type { Sink } from "../wire/sink.ts";
import { Gate, type GateCall, type Passage } from "./gate.ts";
import { handlerOptions } from "./routes.ts";
import { ShortCall, toConnectError } from "./short-call.ts";

const method = PushService.method.subscribe;
const contentTypes = { json: "application/connect+json", proto: "application/connect+proto" } as const;
const mediaTypes: ReadonlyMap<string, PlainCodec> = new Map([
  [contentTypes.json, "json"],
  [contentTypes.proto, "proto"],
]);
/** Bytes of an envelope before its message: flags and length. */
const envelopeBytes = 5;

/** Serves plain Subscribe requests over HTTP/1.1. */
export class SubscribeHandler implements ShortHandler {
  /** The path of the method. */
  readonly path = `/${method.parent.typeName}/${method.name}`;
  readonly #core: Core;
  readonly #begin: (call: GateCall) => Passage;
  readonly #text: RequestJson<typeof SubscribeRequestSchema>;
  readonly #readMaxBytes: number;
  readonly #serialization: MethodSerializationLookup<typeof SubscribeRequestSchema, typeof SubscribeResponseSchema>;
  readonly #endStream: ReturnType<typeof createEndStreamSerialization>;
  readonly #rules: PlainRules;

  constructor(core: Core) {
    const { logger, ignoreUnknownFields } = core.context.settings;
    this.#core = core;
    this.#text = new RequestJson(method.input, ignoreUnknownFields);
    this.#begin = new Gate(core, logger).method(method, this.#text);
    const options = handlerOptions(method, this.#text, ignoreUnknownFields);
    const limits = validateUniversalHandlerOptions(options);
    this.#readMaxBytes = limits.readMaxBytes;
    this.#serialization = createMethodSerializationLookup(method, options.binaryOptions, options.jsonOptions, limits);
    this.#endStream = createEndStreamSerialization(options.jsonOptions);
    this.#rules = { mediaTypes, encodingHeader: "connect-content-encoding", maxTimeoutMs: options.maxTimeoutMs };
  }

  accepts(request: Exchange["request"]): PlainRequest | undefined {
    return "stream" in request ? undefined : plainRequest(request, this.path, this.#rules);
  }

  async serve(plain: PlainRequest, exchange: Exchange): Promise<void> {
    const call = new StreamCall(plain, exchange, this.#begin, this.#endStream);
    try {
      await call.passage.authorise();
      const room = call.passage.enter();
      if (room) await room;
      const request = await this.#read(plain, exchange);
      call.hasBody = true;
      this.#text.forget();
      call.open(this.#core, request);
    } catch (reason) {
      call.finish(reason);
    }
  }

  /** Reads the only message of the request. Throws, or rejects with, the errors of Connect's own handler. */
  #read({ codec, length }: PlainRequest, { request, count }: Exchange): SubscribeRequest | Promise<SubscribeRequest> {
    const serialization = this.#serialization.getI(codec === "proto");
    const body = new RequestBody(request, count);
    // Connect's own handler waits for the end of the body.
    const bytes = request.complete ? body.whole(length, envelopeBytes + this.#readMaxBytes) : undefined;
    if (bytes && isOneEnvelope(bytes)) return serialization.parse(bytes.subarray(envelopeBytes));
    const messages = pipe(
      bytes ? createAsyncIterable([bytes]) : body,
      transformSplitEnvelope(this.#readMaxBytes),
      transformDecompressEnvelope(null, this.#readMaxBytes),
      transformParseEnvelope(serialization, endStreamFlag),
    );
    return single(messages);
  }
}

/** Whether the bytes are one envelope without flags, and nothing else. */
function isOneEnvelope(bytes: Uint8Array): boolean {
  if (bytes.length < envelopeBytes || bytes[0] !== 0) return false;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(1) === bytes.length - envelopeBytes;
}

/** Returns the only item. Rejects as Connect does if there is none, or more than one. */
async function single<T>(items: AsyncIterable<T>): Promise<T> {
  const iterator = items[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done) throw protocolError("missing input message for server-streaming method");
  const second = await iterator.next();
  if (!second.done) throw protocolError("received extra input message for server-streaming method");
  return first.value;
}

function protocolError(sentence: string): ConnectError {
  return new ConnectError(`protocol error: ${sentence}`, Code.Unimplemented);
}

/** One stream, and the sink of its events. The headers of the response are written with the first event. */
class StreamCall extends ShortCall implements Sink {
  readonly #response: ServerResponse;
  readonly #endStream: ReturnType<typeof createEndStreamSerialization>;
  /** The compression of the events; undefined for none. */
  readonly #encoding: string | undefined;
  #body: Sink | undefined;
  #subscription: Subscription | undefined;

  constructor(
    plain: PlainRequest,
    exchange: Exchange,
    begin: (call: GateCall) => Passage,
    endStream: ReturnType<typeof createEndStreamSerialization>,
  ) {
    super(plain, exchange, begin);
    this.#response = exchange.response;
    this.#endStream = endStream;
    this.#encoding = encodingFor(this.header("connect-accept-encoding"));
  }

  /** Opens the stream. Throws where it is refused. */
  open(core: Core, request: SubscribeRequest): void {
    if (this.ended) throw this.ended.reason;
    core.validate(SubscribeRequestSchema, request);
    const cut = () => this.connection.destroy();
    this.#body = this.connection.sink(envelopedIn(this.codec, this.#encoding), core.context.flushQueue);
    this.#subscription = new Subscription(core.context, this.passage.identity, request, cut, this.transport);
    this.#subscription.start(this, (reason) => guard(warn, () => this.finish(reason)));
  }

  write(frames: readonly Frame[]): boolean {
    if (this.#response.headersSent) return (this.#body as Sink).write(frames);
    if (isGone(this.#response)) return true;
    this.#writeHead();
    const [hello, ...others] = frames as readonly [Frame, ...Frame[]];
    // Connect's own handler compresses no message.
    this.#response.write(hello.encoded(envelopedIn(this.codec).plain));
    return others.length === 0 || (this.#body as Sink).write(others);
  }

  get queued(): number {
    return this.#body?.queued ?? 0;
  }

  drained(): Promise<void> {
    return (this.#body as Sink).drained();
  }

  /** Ends the response with an error. */
  finish(reason: unknown): void {
    // Before the error is written: its details are completed here.
    this.end(reason);
    if (isGone(this.#response)) return;
    if (!this.#response.headersSent) this.#writeHead();
    const error = toConnectError(reason);
    const message = this.#endStream.serialize({ metadata: new Headers(), error });
    this.#response.end(encodeEnvelope(endStreamFlag, message));
  }

  protected override stopped(reason: unknown): void {
    // A deadline that has passed is the error of the stream, unless the stream has ended with another error before.
    if (reason instanceof ConnectError) this.#subscription?.end(reason);
    this.#subscription?.close();
  }

  #writeHead(): void {
    for (const name in streamHeaders) this.#response.setHeader(name, streamHeaders[name] as string);
    // In the order of Headers, which sorts by name.
    this.#response.writeHead(200, {
      ...(this.#encoding === undefined ? {} : { "connect-content-encoding": this.#encoding }),
      "content-type": contentTypes[this.codec],
      "x-request-id": this.passage.requestId,
    });
  }
}

/** The name of the compression that a client accepts; undefined for none. */
function encodingFor(accepted: string | undefined): string | undefined {
  if (accepted === undefined) return undefined;
  return compressionNegotiate(acceptCompression, null, accepted, "connect-accept-encoding").response?.name;
}
