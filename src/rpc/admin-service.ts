import type { ServiceImpl } from "@connectrpc/connect";
import type { AdminService } from "../../gen/tidings/v1/admin_service_pb.ts";
import { fail } from "../errors.ts";

/** The implementation of AdminService. */
export function adminService(): ServiceImpl<typeof AdminService> {
  return {
    async disconnect() {
      throw fail("NOT_BUILT", "Disconnect is not served yet; the streams of a user end when their tokens expire");
    },
  };
}
