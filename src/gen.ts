/** The contract's generated code: `import { PushService } from "tidings-client/gen"`. */
export * from "../gen/tidings/v1/admin_service_pb.ts";
export * from "../gen/tidings/v1/bridge_pb.ts";
export * from "../gen/tidings/v1/message_pb.ts";
export * from "../gen/tidings/v1/push_service_pb.ts";
