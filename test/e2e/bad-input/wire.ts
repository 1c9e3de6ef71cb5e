/** Calls of the clients of every protocol, and errors as they read them. */
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

/** An error as a client reads it. */
export interface Refusal {
  /** The name of the code, such as `InvalidArgument`. */
  readonly code: string;
  /** The reason of ErrorInfo. */
  readonly reason: string | undefined;
  /** The metadata of ErrorInfo, unless it is empty. */
  readonly domain?: string | undefined;
  /** The invalid field of ErrorInfo. */
  readonly field?: string | undefined;
}

/** An error with the details that rows of tables do not name. */
export interface FullRefusal extends Refusal {
  readonly message: string;
  /** The invalid fields of BadRequest. */
  readonly violations: readonly string[];
  /** The delay of RetryInfo, in ms. */
  readonly retryMs: number | undefined;
}

/** The methods of all services, by name. */
export const methods: ReadonlyMap<string, DescMethod> = new Map(
  [...PushService.methods, ...AdminService.methods].map((method) => [method.name, method]),
);

/** The transports, by the names of their protocols. */
export function protocolsOf(baseUrl: string): readonly (readonly [name: string, transport: Transport])[] {
  return [
    ["Connect JSON", createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false })],
    ["Connect Protobuf", createConnectTransport({ baseUrl, httpVersion: "2" })],
    ["gRPC-Web", createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
    ["gRPC", createGrpcTransport({ baseUrl })],
  ];
}

/** Calls a method and returns its error, or `undefined` when the call, or the first event of a stream, succeeds. */
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

/** Converts an error of a call. */
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
