/** Drafts: the message as its publisher wrote it. */
import { hash } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Draft, type Message, Scope } from "../../gen/tidings/v1/message_pb.ts";
import { type PublishRequest, PublishRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { fail } from "../errors.ts";

/**
 * The most levels of lists and objects in a JSON payload. Protobuf decoders give up at 100 nested messages; one level of
 * JSON takes up to three of them, and the payload itself is nested in up to four. A list that holds a deeper message would
 * be unreadable as a whole.
 */
const maxJsonDepth = 32;

/**
 * Returns the bytes of a draft's content and payload. Throws MESSAGE_TOO_LARGE for a draft over `maxBytes`, and FIELD_INVALID
 * for a payload that no reader could decode.
 */
export function checkDraft({ content, payload }: Draft, maxBytes: number): number {
  const size = Buffer.byteLength(content) + payloadLength(payload);
  if (size > maxBytes) {
    const sentence = `content and payload have ${size} bytes, and at most ${maxBytes} are allowed; send a url instead`;
    const metadata = { limit: String(maxBytes), size: String(size) };
    throw fail("MESSAGE_TOO_LARGE", sentence, { field: "message", metadata });
  }
  if (payload.case !== "json" || !isDeeper(payload.value, maxJsonDepth)) return size;
  const sentence = `lists and objects may be ${maxJsonDepth} levels deep; send it flatter, or as binary`;
  throw fail("FIELD_INVALID", sentence, { field: "message.json", metadata: { limit: String(maxJsonDepth) } });
}

/** Returns a message with the fields of its draft; the stamp sets the others. */
export function toMessage(draft: Draft): Message {
  // Written out, since `create` would cost as much as the rest of a stamp.
  return {
    $typeName: "tidings.v1.Message",
    id: "",
    kind: draft.kind,
    category: draft.category,
    title: draft.title,
    content: draft.content,
    url: draft.url,
    actor: draft.actor,
    object: draft.object,
    event: draft.event || "message",
    payload: draft.payload,
    contentType: draft.contentType,
    batchId: draft.batchId,
    scope: Scope.UNSPECIFIED,
    roomId: "",
    publishTime: undefined,
    expireTime: undefined,
    position: undefined,
    read: false,
    receiverId: "",
    alert: false,
  };
}

/** Returns a digest of the content of a request: two requests under one request_id with the same digest are retries. */
export function digestOf(request: PublishRequest): string {
  // Not part of the content: the tenant, which a service that is bound to one may name or leave out, and whether to replace
  // an earlier message, since a resend is recognised by its request_id alone.
  const content: PublishRequest = { ...request, requestId: "", tenantId: "", replace: false };
  const { message } = request;
  if (message?.payload.case === "json") {
    content.message = { ...message, payload: { case: "json", value: withSortedFields(message.payload.value) } };
  }
  return hash("sha256", toBinary(PublishRequestSchema, content), "base64url");
}

/** Copies a JSON value with sorted fields: an encoder may write them in another order on each retry. */
function withSortedFields(value: Value): Value {
  const { kind } = value;
  if (kind.case === "listValue") {
    const values = kind.value.values.map(withSortedFields);
    return { ...value, kind: { case: "listValue", value: { ...kind.value, values } } };
  }
  if (kind.case !== "structValue") return value;
  const sorted = Object.entries(kind.value.fields).sort(([a], [b]) => (a < b ? -1 : 1));
  const fields = Object.fromEntries(sorted.map(([name, field]) => [name, withSortedFields(field)]));
  return { ...value, kind: { case: "structValue", value: { ...kind.value, fields } } };
}

function isDeeper({ kind }: Value, levels: number): boolean {
  if (kind.case !== "listValue" && kind.case !== "structValue") return false;
  const inner = kind.case === "listValue" ? kind.value.values : Object.values(kind.value.fields);
  return levels === 0 || inner.some((value) => isDeeper(value, levels - 1));
}

function payloadLength(payload: Draft["payload"]): number {
  if (payload.case === "binary") return payload.value.length;
  return payload.case === "json" ? toBinary(ValueSchema, payload.value).length : 0;
}
