/** The contract's generated code: `import { PushService } from "tidings-client/gen"`. */

// The details of errors, for clients that do not use `tidings-client`: `error.findDetails(ErrorInfoSchema)`.
export {
  type BadRequest,
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  type RetryInfo,
  RetryInfoSchema,
} from "../gen/google/rpc/error_details_pb.ts";
export * from "../gen/tidings/v1/admin_service_pb.ts";
export * from "../gen/tidings/v1/bridge_pb.ts";
export * from "../gen/tidings/v1/message_pb.ts";
export * from "../gen/tidings/v1/push_service_pb.ts";
