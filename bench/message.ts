import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Kind, Scope } from "../gen/tidings/v1/message_pb.ts";
import {
  PublishBatchRequestSchema,
  type PublishRequest,
  PublishRequestSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "../gen/tidings/v1/push_service_pb.ts";
import { benchTenant } from "./tokens.ts";

/** Begins each message's content: drivers count messages by it and parse nothing else. Its first character is nowhere else. */
export const marker = "@#bench#";
/** Hexadecimal digits of the time of publishing in µs, right after the marker. */
export const stampLength = 16;
/** What has to be there before a message counts. */
export const markLength = marker.length + stampLength;

/** Content of so many characters. `stamp`: see sharedMicroseconds. */
export function markedText(length: number, stamp = 0): string {
  return (marker + stamp.toString(16).padStart(stampLength, "0")).padEnd(length, ".");
}

/** Of the content of an everyday message; the whole event then has about 200 bytes. */
export const usualLength = 96;

/** The event that Tidings would send, for servers that have no store to take it from. */
export function sampleEvent(): SubscribeResponse {
  return create(SubscribeResponseSchema, {
    event: {
      case: "message",
      value: {
        id: "019a9d4b-8f3c-7d2e-9a1b-0c5d6e7f8a9b",
        kind: Kind.NOTIFICATION,
        category: "operation",
        title: "Bob assigned you a task",
        content: markedText(usualLength),
        event: "message",
        scope: Scope.TENANT,
        publishTime: timestampFromMs(1_770_000_000_000),
        position: { feed: "tenant", epoch: 1, seq: "1000" },
      },
    },
  });
}

/** The sample event in Protobuf. */
export function sampleBytes(): Buffer {
  return Buffer.from(toBinary(SubscribeResponseSchema, sampleEvent()));
}

/** Whom a publish is for. */
export type BenchAudience =
  | { readonly user: string }
  | { readonly users: readonly string[] }
  | { readonly tenant: string };

/** An everyday notification; of another size if `content` is given. */
export function publishTo(audience: BenchAudience, content = markedText(usualLength)): PublishRequest {
  const tenantId = "tenant" in audience ? audience.tenant : benchTenant;
  return create(PublishRequestSchema, {
    tenantId,
    audience: { to: toOf(audience) },
    message: { kind: Kind.NOTIFICATION, category: "operation", title: "Bob assigned you a task", content },
  });
}

function toOf(audience: BenchAudience) {
  if ("user" in audience) return { case: "userId" as const, value: audience.user };
  if ("users" in audience) return { case: "users" as const, value: { userIds: [...audience.users] } };
  return { case: "tenant" as const, value: true };
}

/** The body of a Publish. */
export function publishBody(request: PublishRequest): Uint8Array {
  return toBinary(PublishRequestSchema, request);
}

/** The body of a PublishBatch. */
export function batchBody(requests: PublishRequest[]): Uint8Array {
  return toBinary(PublishBatchRequestSchema, create(PublishBatchRequestSchema, { requests }));
}
