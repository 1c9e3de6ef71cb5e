/** gRPC server reflection: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md */
import type { Registry } from "@bufbuild/protobuf";
import { Code, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { ServerReflection, type ServerReflectionRequest } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import {
  ServerReflection as ServerReflectionAlpha,
  type ServerReflectionRequest as ServerReflectionRequestAlpha,
} from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { DescriptorIndex, type IndexedFile } from "./descriptor-index.ts";

/** Both versions have the same shape. */
type Request = ServerReflectionRequest | ServerReflectionRequestAlpha;

type Answer =
  | { case: "fileDescriptorResponse"; value: { fileDescriptorProto: Uint8Array<ArrayBuffer>[] } }
  | { case: "allExtensionNumbersResponse"; value: { baseTypeName: string; extensionNumber: number[] } }
  | { case: "listServicesResponse"; value: { service: { name: string }[] } }
  | { case: "errorResponse"; value: { errorCode: number; errorMessage: string } };

/** Requests hold one name, and the callers are strangers. */
const options = { readMaxBytes: 4096, maxTimeoutMs: 2_147_483_647 };

/**
 * Serves reflection v1, and v1alpha for tools that know nothing else. Lists the services of these names, which the
 * registry must have, and itself; describes whatever the registry has.
 */
export function reflectionRoutes(router: ConnectRouter, registry: Registry, serviceNames: readonly string[]): void {
  const index = new DescriptorIndex(registry);
  const services = [...serviceNames, ServerReflection.typeName, ServerReflectionAlpha.typeName].sort();
  const serve = <R extends Request>(requests: AsyncIterable<R>, { signal }: HandlerContext) =>
    answers(index, services, requests, signal);
  router.service(ServerReflection, { serverReflectionInfo: serve }, options);
  router.service(ServerReflectionAlpha, { serverReflectionInfo: serve }, options);
}

async function* answers<R extends Request>(
  index: DescriptorIndex,
  services: readonly string[],
  requests: AsyncIterable<R>,
  signal: AbortSignal,
): AsyncGenerator<{ validHost: string; originalRequest: R; messageResponse: Answer }> {
  const sent = new Set<string>();
  const iterator = requests[Symbol.asyncIterator]();
  for (;;) {
    const { done, value: request } = await nextOrAbort(iterator, signal);
    if (done) return;
    const messageResponse = answer(index, services, sent, request.messageRequest);
    yield { validHost: request.host, originalRequest: request, messageResponse };
  }
}

/** A peer that neither asks nor ends its stream must not hold up a server that closes. */
function nextOrAbort<T>(iterator: AsyncIterator<T>, signal: AbortSignal): Promise<IteratorResult<T>> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = (): void => reject(signal.reason);
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

/** The file asked for, and what it imports as far as this stream has not sent it yet. */
function files(index: DescriptorIndex, sent: Set<string>, file: IndexedFile | undefined): Answer {
  if (!file) return error(Code.NotFound, "there is no such file, symbol or extension");
  const found = new Set([file]);
  // A Set goes on to what is added while it is walked.
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
