import type { BinaryReadOptions, JsonReadOptions, Registry } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { AdminService } from "../../gen/tidings/v1/admin_service_pb.ts";
import { PushService } from "../../gen/tidings/v1/push_service_pb.ts";
import type { Core } from "../core/core.ts";
import { maxAnswerBytes } from "../publish/batch-size.ts";
import { adminService } from "./admin-service.ts";
import { createGate } from "./gate.ts";
import type { Health as HealthService } from "./health.ts";
import { pushService } from "./push-service.ts";
import { reflectionRoutes } from "./reflection.ts";

/** The services of Tidings, whose health can be checked. */
export const serviceNames: readonly string[] = [PushService.typeName, AdminService.typeName];

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

/** Refuses text that is not UTF-8, as Protobuf does, instead of replacing characters. */
const jsonOptions: Partial<JsonReadOptions> & { textDecoder: TextDecoder } = {
  textDecoder: new TextDecoder("utf-8", { fatal: true }),
};

/**
 * Drops fields that the contract does not know, at every depth: stored, they would be delivered and yet pass by every
 * limit, for validation does not see them.
 */
const binaryOptions: Partial<BinaryReadOptions> = { readUnknownFields: false };

/** All services of Tidings as Connect routes, for its own server or for the server of another program. */
export function createRoutes(core: Core, health: HealthService, registry: Registry): (router: ConnectRouter) => void {
  const { reflection, logger } = core.context.settings;
  const requestGate = createGate(core, logger);
  const push = pushService(core);
  return (router) => {
    // Registered method by method, because the options of a service cannot differ by method, and Fastify refuses to
    // register a method twice.
    for (const method of PushService.methods) {
      router.rpc(method, push[method.localName as keyof typeof push] as never, {
        requestGate,
        binaryOptions,
        jsonOptions,
        maxTimeoutMs,
        readMaxBytes: readMaxBytes[method.localName] ?? 256 * kilobyte,
        writeMaxBytes: maxAnswerBytes,
        ...(method.methodKind === "server_streaming" ? { compressMinBytes: neverCompress } : {}),
      });
    }
    router.service(AdminService, adminService(core), {
      requestGate,
      binaryOptions,
      jsonOptions,
      maxTimeoutMs,
      readMaxBytes: 256 * kilobyte,
    });
    health.routes(router);
    if (reflection) reflectionRoutes(router, registry, [...serviceNames, Health.typeName]);
  };
}
