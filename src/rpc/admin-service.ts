import type { ServiceImpl } from "@connectrpc/connect";
import { type AdminService, DisconnectRequestSchema } from "../../gen/tidings/v1/admin_service_pb.ts";
import type { Core } from "../core/core.ts";
import { identityOf } from "./context.ts";

/** Implements AdminService on a running core. */
export function adminService({ validate, disconnector }: Core): ServiceImpl<typeof AdminService> {
  return {
    async disconnect(request, context) {
      validate(DisconnectRequestSchema, request);
      return { connections: await disconnector.disconnect(identityOf(context), request) };
    },
  };
}
