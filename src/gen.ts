/**
 * The contract's generated code, `import { PushService } from "tidings-client/gen"`, and what a stock Connect or gRPC client
 * needs to read errors.
 */

// The details of errors, as `error.findDetails(ErrorInfoSchema)` takes them; readError reads all of them at once.
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
export { type ErrorSummary, type InvalidField, readError } from "./client/read-error.ts";
export type { ErrorCode } from "./client/tidings-error.ts";
