/** Implements the service of the official conformance suite by the comments of its contract. */
import { createRegistry, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import * as contract from "./gen/connectrpc/conformance/v1/service_pb.ts";

const { ConformanceService } = contract;
/** The types that an Any may have in JSON. */
export const registry = createRegistry(contract.file_connectrpc_conformance_v1_service);

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function addHeaders(target: Headers, headers: readonly contract.Header[]): void {
  for (const { name, value } of headers) for (const one of value) target.append(name, one);
}

function requestInfo(context: HandlerContext, requests: readonly Any[]) {
  const requestHeaders = [...context.requestHeader].map(([name, value]) => ({ name, value: [value] }));
  const remaining = context.timeoutMs();
  const params = [...new URL(context.url).searchParams].map(([name, value]) => ({ name, value: [value] }));
  return {
    requestHeaders,
    requests: [...requests],
    ...(remaining === undefined ? {} : { timeoutMs: BigInt(Math.round(remaining)) }),
    ...(context.requestMethod === "GET" ? { connectGetInfo: { queryParams: params } } : {}),
  };
}

function toError(error: contract.Error, info?: ReturnType<typeof requestInfo>): ConnectError {
  const result = new ConnectError(error.message ?? "", error.code as number);
  for (const { typeUrl, value } of error.details) {
    result.details.push({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value });
  }
  if (info) result.details.push({ desc: contract.ConformancePayload_RequestInfoSchema, value: info });
  return result;
}

async function answerOnce(
  context: HandlerContext,
  definition: contract.UnaryResponseDefinition | undefined,
  requests: readonly Any[],
) {
  const info = requestInfo(context, requests);
  if (definition) {
    addHeaders(context.responseHeader, definition.responseHeaders);
    addHeaders(context.responseTrailer, definition.responseTrailers);
    await wait(definition.responseDelayMs);
    context.signal.throwIfAborted();
  }
  if (definition?.response.case === "error") throw toError(definition.response.value, info);
  const data = definition?.response.case === "responseData" ? definition.response.value : new Uint8Array();
  return { payload: { data, requestInfo: info } };
}

function pack<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Any {
  return anyPack(schema, message);
}

/** The implementation. */
export const conformanceService: Omit<ServiceImpl<typeof ConformanceService>, "unimplemented"> = {
  unary: (request, context) =>
    answerOnce(context, request.responseDefinition, [pack(contract.UnaryRequestSchema, request)]),
  idempotentUnary: (request, context) =>
    answerOnce(context, request.responseDefinition, [pack(contract.IdempotentUnaryRequestSchema, request)]),
  async clientStream(requests, context) {
    const received: contract.ClientStreamRequest[] = [];
    for await (const request of requests) received.push(request);
    const packed = received.map((request) => pack(contract.ClientStreamRequestSchema, request));
    return answerOnce(context, received[0]?.responseDefinition, packed);
  },
  async *serverStream(request, context) {
    const info = requestInfo(context, [pack(contract.ServerStreamRequestSchema, request)]);
    const definition = request.responseDefinition;
    if (!definition) return;
    addHeaders(context.responseHeader, definition.responseHeaders);
    addHeaders(context.responseTrailer, definition.responseTrailers);
    for (const [index, data] of definition.responseData.entries()) {
      await wait(definition.responseDelayMs);
      context.signal.throwIfAborted();
      yield { payload: index === 0 ? { data, requestInfo: info } : { data } };
    }
    if (definition.error) throw toError(definition.error, definition.responseData.length === 0 ? info : undefined);
  },
  async *bidiStream(requests, context) {
    let definition: contract.StreamResponseDefinition | undefined;
    let fullDuplex = false;
    let sent = 0;
    let pending: Any[] = [];
    for await (const request of requests) {
      if (!definition && request.responseDefinition) {
        definition = request.responseDefinition;
        fullDuplex = request.fullDuplex;
        addHeaders(context.responseHeader, definition.responseHeaders);
        addHeaders(context.responseTrailer, definition.responseTrailers);
      }
      pending.push(pack(contract.BidiStreamRequestSchema, request));
      if (!fullDuplex) continue;
      const data = definition?.responseData[sent];
      if (data === undefined) break;
      await wait(definition?.responseDelayMs ?? 0);
      context.signal.throwIfAborted();
      yield { payload: { data, requestInfo: requestInfo(context, pending) } };
      sent++;
      pending = [];
    }
    if (!definition) return;
    const info = requestInfo(context, pending);
    for (; sent < definition.responseData.length; sent++) {
      await wait(definition.responseDelayMs);
      context.signal.throwIfAborted();
      const data = definition.responseData[sent] as Uint8Array;
      yield { payload: sent === 0 || (fullDuplex && pending.length > 0) ? { data, requestInfo: info } : { data } };
      pending = [];
    }
    if (definition.error) throw toError(definition.error, sent === 0 ? info : undefined);
  },
};
