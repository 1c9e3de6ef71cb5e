import { type AdminService, DisconnectRequestSchema } from "../../gen/tidings/v1/admin_service_pb.ts";
import type { Core } from "../core/core.ts";
import type { UnaryService } from "./unary-service.ts";

/** Implements AdminService on a running core. */
export function adminService({ validate, disconnector }: Core): UnaryService<typeof AdminService> {
  return {
    async disconnect(request, { identity }) {
      validate(DisconnectRequestSchema, request);
      return { connections: await disconnector.disconnect(identity, request) };
    },
  };
}
