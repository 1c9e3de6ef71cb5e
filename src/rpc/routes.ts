import type {
  BinaryReadOptions,
  DescMessage,
  DescMethod,
  JsonReadOptions,
  JsonWriteOptions,
  Registry,
} from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { AdminService } from "../../gen/tidings/v1/admin_service_pb.ts";
import { PushService } from "../../gen/tidings/v1/push_service_pb.ts";
import { RequestJson } from "../contract/request-json.ts";
import type { Core } from "../core/core.ts";
import { maxAnswerBytes } from "../publish/batch-size.ts";
import { completeJson } from "../wire/complete-json.ts";
import { adminService } from "./admin-service.ts";
import { createGate, Gate, type GateCall, type Passage, passageOf } from "./gate.ts";
import type { Health as HealthService } from "./health.ts";
import type { PublicStreams } from "./public-streams.ts";
import { pushService, subscribe } from "./push-service.ts";
import { reflectionRoutes } from "./reflection.ts";

/** The services of Tidings, whose health can be checked. */
export const serviceNames: readonly string[] = [PushService.typeName, AdminService.typeName];

/** The paths of the methods whose answers may be large. */
export const largeAnswers: ReadonlySet<string> = new Set(
  [
    PushService.method.listUnread,
    PushService.method.listMessages,
    PushService.method.onlineCount,
    PushService.method.publishBatch,
  ].map(({ parent, name }) => `/${parent.typeName}/${name}`),
);

const kilobyte = 1024;
/** The longest delay of setTimeout, in ms: a longer deadline would fire at once. */
const maxTimeoutMs = 2_147_483_647;
/**
 * Bytes. Larger requests are refused, before and after decompression. 10,000 user ids fit, and 1,000 messages of 16
 * KiB.
 */
const readMaxBytes: Readonly<Record<string, number>> = {
  publish: 3 * kilobyte * kilobyte,
  publishBatch: 16 * kilobyte * kilobyte,
  onlineCount: 3 * kilobyte * kilobyte,
};
/** Streams compress large messages themselves, once for all streams (wire/formats.ts); the other frames are small. */
const neverCompress = Number.MAX_SAFE_INTEGER;

/**
 * Drops fields that the contract does not know, at every depth: stored, they would be delivered and yet pass by every
 * limit, for validation does not see them.
 */
const binaryOptions: Partial<BinaryReadOptions> = { readUnknownFields: false };

/** The options of all handlers of a method, Connect's own and the short one. `text` keeps the JSON of its requests. */
export function handlerOptions(method: DescMethod, text: RequestJson<DescMessage>, ignoreUnknownFields: boolean) {
  const jsonOptions: JsonOptions = {
    ...completeJson,
    ignoreUnknownFields,
    textDecoder: text as unknown as TextDecoder,
  };
  return {
    binaryOptions,
    jsonOptions,
    maxTimeoutMs,
    readMaxBytes: readMaxBytes[method.localName] ?? 256 * kilobyte,
    writeMaxBytes: maxAnswerBytes,
    ...(method.methodKind === "server_streaming" ? { compressMinBytes: neverCompress } : {}),
  };
}

type JsonOptions = Partial<JsonReadOptions & JsonWriteOptions> & { textDecoder: TextDecoder };

/** The implementation of a unary method. */
export type UnaryImplementation = (request: never, call: Passage) => Promise<object>;

/** Returns the implementations of all unary methods. */
export function unaryMethods(core: Core): Map<DescMethod, UnaryImplementation> {
  const implementations: Readonly<Record<string, UnaryImplementation>> = {
    ...pushService(core),
    ...adminService(core),
  };
  const all = [...PushService.methods, ...AdminService.methods];
  return new Map(
    all.flatMap((method) => {
      const implementation = implementations[method.localName];
      return implementation ? [[method, implementation] as const] : [];
    }),
  );
}

/**
 * All services of Tidings as Connect routes, for its own server or for the server of another program. `streams` limits the
 * streams of reflection.
 */
export function createRoutes(
  core: Core,
  health: HealthService,
  registry: Registry,
  streams?: PublicStreams,
): (router: ConnectRouter) => void {
  const { reflection, logger, ignoreUnknownFields } = core.context.settings;
  const unary = unaryMethods(core);
  const gate = new Gate(core, logger);
  return (router) => {
    const calls = new Map<string, (call: GateCall) => Passage>();
    const requestGate = createGate(calls);
    // Registered method by method, because the options of a service cannot differ by method, and Fastify refuses to
    // register a method twice.
    for (const method of [...PushService.methods, ...AdminService.methods]) {
      // For each router, because the text of a request is where the handler that reads it has put it.
      const text = new RequestJson(method.input, ignoreUnknownFields);
      calls.set(`${method.parent.typeName}/${method.name}`, gate.method(method, text));
      const implementation = unary.get(method);
      const serve = (request: never, context: HandlerContext) => {
        text.forget();
        return implementation ? implementation(request, passageOf(context)) : subscribe(core, request, context);
      };
      router.rpc(method, serve as never, {
        requestGate,
        ...handlerOptions(method, text, ignoreUnknownFields),
      });
    }
    health.routes(router);
    if (reflection) reflectionRoutes(router, registry, [...serviceNames, Health.typeName], streams);
  };
}
