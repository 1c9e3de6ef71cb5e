/** Calls as clients of every protocol make them, and refusals as they read them. */
import {
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromJson,
  type JsonObject,
} from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { AdminService, PushService } from "../../../src/gen.ts";

/** What a client learns of an error. */
export interface Refusal {
  /** Such as `InvalidArgument`. */
  readonly code: string;
  /** Of ErrorInfo. */
  readonly reason: string | undefined;
  /** Of ErrorInfo, unless empty. */
  readonly domain?: string | undefined;
  /** The field at fault, of ErrorInfo. */
  readonly field?: string | undefined;
}

/** A refusal with all that a row of a table does not name. */
export interface FullRefusal extends Refusal {
  readonly message: string;
  /** The fields at fault, of BadRequest. */
  readonly violations: readonly string[];
  /** The delay of RetryInfo. */
  readonly retryMs: number | undefined;
}

/** The methods of all services, by name. */
export const methods: ReadonlyMap<string, DescMethod> = new Map(
  [...PushService.methods, ...AdminService.methods].map((method) => [method.name, method]),
);

/** Transports by the name of their protocol. */
export function protocolsOf(baseUrl: string): readonly (readonly [name: string, transport: Transport])[] {
  return [
    ["Connect JSON", createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false })],
    ["Connect Protobuf", createConnectTransport({ baseUrl, httpVersion: "2" })],
    ["gRPC-Web", createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
    ["gRPC", createGrpcTransport({ baseUrl })],
  ];
}

/** Calls a method to its first answer; undefined when it is not refused. */
export async function refusalOf(
  transport: Transport,
  name: string,
  request: JsonObject,
  headers: HeadersInit,
): Promise<FullRefusal | undefined> {
  const method = methods.get(name);
  if (!method) throw new Error(`there is no method ${name}`);
  const input = fromJson(method.input, request) as never;
  const ending = new AbortController();
  try {
    if (method.methodKind === "unary")
      await transport.unary(method as DescMethodUnary, ending.signal, undefined, headers, input);
    else {
      const one = (async function* () {
        yield input;
      })();
      const { message } = await transport.stream(method as DescMethodStreaming, ending.signal, undefined, headers, one);
      await message[Symbol.asyncIterator]().next();
    }
    return undefined;
  } catch (error) {
    return describe(ConnectError.from(error));
  } finally {
    ending.abort();
  }
}

/** An error as its client sees it. */
export function describe(error: ConnectError): FullRefusal {
  const [info] = error.findDetails(ErrorInfoSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return {
    code: Code[error.code] ?? "",
    reason: info?.reason,
    domain: info?.domain,
    field: info?.metadata.field,
    message: error.rawMessage,
    violations: violations.map(({ field }) => field),
    retryMs: retry?.retryDelay && durationMs(retry.retryDelay),
  };
}
