/** gRPC server reflection: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md */
import type { Registry } from "@bufbuild/protobuf";
import { Code, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { ServerReflection, type ServerReflectionRequest } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import {
  ServerReflection as ServerReflectionAlpha,
  type ServerReflectionRequest as ServerReflectionRequestAlpha,
} from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { DescriptorIndex, type IndexedFile } from "./descriptor-index.ts";
import type { PublicStreams } from "./public-streams.ts";

/** A request of either version; both have the same shape. */
type Request = ServerReflectionRequest | ServerReflectionRequestAlpha;

type Answer =
  | { case: "fileDescriptorResponse"; value: { fileDescriptorProto: Uint8Array<ArrayBuffer>[] } }
  | { case: "allExtensionNumbersResponse"; value: { baseTypeName: string; extensionNumber: number[] } }
  | { case: "listServicesResponse"; value: { service: { name: string }[] } }
  | { case: "errorResponse"; value: { errorCode: number; errorMessage: string } };

/** How long a stream of questions stays open, in ms. */
const reflectMs = 300_000;

/** A request holds one name, and needs no token: strangers must not make the server read more. */
const options = { readMaxBytes: 4096, maxTimeoutMs: 2_147_483_647 };

/**
 * Serves reflection v1, and v1alpha for tools that do not know v1. Lists the services with these names, which must be
 * in the registry, and the reflection services themselves; describes every type of the registry. `streams` limits the
 * streams.
 */
export function reflectionRoutes(
  router: ConnectRouter,
  registry: Registry,
  serviceNames: readonly string[],
  streams?: PublicStreams,
): void {
  const index = new DescriptorIndex(registry);
  const services = [...serviceNames, ServerReflection.typeName, ServerReflectionAlpha.typeName].sort();
  const serve = <R extends Request>(requests: AsyncIterable<R>, context: HandlerContext) =>
    answers(index, services, requests, context.signal, streams?.begin(context, reflectMs) ?? context.signal);
  router.service(ServerReflection, { serverReflectionInfo: serve }, options);
  router.service(ServerReflectionAlpha, { serverReflectionInfo: serve }, options);
}

async function* answers<R extends Request>(
  index: DescriptorIndex,
  services: readonly string[],
  requests: AsyncIterable<R>,
  signal: AbortSignal,
  ending: AbortSignal,
): AsyncGenerator<{ validHost: string; originalRequest: R; messageResponse: Answer }> {
  const sent = new Set<string>();
  const iterator = requests[Symbol.asyncIterator]();
  for (;;) {
    const next = await nextOrEnd(iterator, ending);
    signal.throwIfAborted();
    if (!next || next.done) return;
    const request = next.value;
    const messageResponse = answer(index, services, sent, request.messageRequest);
    yield { validHost: request.host, originalRequest: request, messageResponse };
  }
}

/**
 * Waits for the next request or for the signal, which gives undefined: a peer that neither asks nor ends its stream must not
 * delay the shutdown.
 */
function nextOrEnd<T>(iterator: AsyncIterator<T>, signal: AbortSignal): Promise<IteratorResult<T> | undefined> {
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve(undefined);
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop);
    iterator
      .next()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener("abort", stop));
  });
}

function answer(
  index: DescriptorIndex,
  services: readonly string[],
  sent: Set<string>,
  request: Request["messageRequest"],
): Answer {
  switch (request.case) {
    case "fileByFilename":
      return files(index, sent, index.file(request.value));
    case "fileContainingSymbol":
      return files(index, sent, index.symbol(request.value));
    case "fileContainingExtension":
      return files(index, sent, index.extension(request.value.containingType, request.value.extensionNumber));
    case "allExtensionNumbersOfType": {
      const extensionNumber = index.extensionNumbers(request.value);
      if (!extensionNumber) return error(Code.NotFound, "there is no such type");
      return { case: "allExtensionNumbersResponse", value: { baseTypeName: request.value, extensionNumber } };
    }
    case "listServices":
      return { case: "listServicesResponse", value: { service: services.map((name) => ({ name })) } };
    default:
      return error(Code.InvalidArgument, "set one of the fields of message_request");
  }
}

/** The file, and the files that it imports, directly or not, unless this stream has sent them before. */
function files(index: DescriptorIndex, sent: Set<string>, file: IndexedFile | undefined): Answer {
  if (!file) return error(Code.NotFound, "there is no such file, symbol or extension");
  const found = new Set([file]);
  // Iterating over a Set also visits the values that are added on the way.
  for (const { imports } of found) {
    for (const name of imports) {
      const imported = index.file(name);
      if (imported && !sent.has(name)) found.add(imported);
    }
  }
  for (const { name } of found) sent.add(name);
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: [...found].map(({ bytes }) => bytes) } };
}

function error(code: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode: code, errorMessage } };
}
