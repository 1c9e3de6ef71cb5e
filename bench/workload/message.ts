import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Kind, Scope } from "../../gen/tidings/v1/message_pb.ts";
import {
  PublishBatchRequestSchema,
  type PublishRequest,
  PublishRequestSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "../../gen/tidings/v1/push_service_pb.ts";
import { benchTenant } from "./tokens.ts";

/**
 * The start of every message's content. Drivers count messages by searching the bytes of a stream for it, and parse
 * nothing else. Its first character occurs nowhere else in a stream.
 */
export const marker = "@#bench#";
/** Length of the timestamp that follows the marker: the time of publishing in µs, as hexadecimal digits. */
export const stampLength = 16;
/** Length of marker and timestamp, which a driver needs to count a message. */
export const markLength = marker.length + stampLength;

/** Content with a marker, padded to `length` characters. `stamp`: a time of `sharedMicroseconds`. */
export function markedText(length: number, stamp = 0): string {
  return (marker + stamp.toString(16).padStart(stampLength, "0")).padEnd(length, ".");
}

/** Length of the content of a typical message; the event then has about 200 bytes. */
export const typicalLength = 96;

/** Length of the text that other servers send: as long as a typical event in Protobuf. */
export const textLength = 200;

/** The event that Tidings would send for a typical message, for servers without a store. */
export function sampleEvent(): SubscribeResponse {
  return create(SubscribeResponseSchema, {
    event: {
      case: "message",
      value: {
        id: "019a9d4b-8f3c-7d2e-9a1b-0c5d6e7f8a9b",
        kind: Kind.NOTIFICATION,
        category: "operation",
        title: "Bob assigned you a task",
        content: markedText(typicalLength),
        event: "message",
        scope: Scope.TENANT,
        publishTime: timestampFromMs(1_770_000_000_000),
        position: { feed: "tenant", epoch: 1, seq: "1000" },
      },
    },
  });
}

/** The sample event, encoded in Protobuf. */
export function sampleBytes(): Buffer {
  return Buffer.from(toBinary(SubscribeResponseSchema, sampleEvent()));
}

/** The audience of a publish. */
export type BenchAudience =
  | { readonly user: string }
  | { readonly users: readonly string[] }
  | { readonly tenant: string };

/** A request to publish a notification with this content; typical by default. */
export function publishTo(audience: BenchAudience, content = markedText(typicalLength)): PublishRequest {
  const tenantId = "tenant" in audience ? audience.tenant : benchTenant;
  return create(PublishRequestSchema, {
    tenantId,
    audience: { to: fieldOf(audience) },
    message: { kind: Kind.NOTIFICATION, category: "operation", title: "Bob assigned you a task", content },
  });
}

function fieldOf(audience: BenchAudience) {
  if ("user" in audience) return { case: "userId" as const, value: audience.user };
  if ("users" in audience) return { case: "users" as const, value: { userIds: [...audience.users] } };
  return { case: "tenant" as const, value: true };
}

/** Encodes the body of a Publish. */
export function publishBody(request: PublishRequest): Uint8Array {
  return toBinary(PublishRequestSchema, request);
}

/** Encodes the body of a Publish in JSON. */
export function publishJson(request: PublishRequest): Buffer {
  return Buffer.from(toJsonString(PublishRequestSchema, request));
}

/** Encodes the body of a PublishBatch. */
export function batchBody(requests: PublishRequest[]): Uint8Array {
  return toBinary(PublishBatchRequestSchema, create(PublishBatchRequestSchema, { requests }));
}
