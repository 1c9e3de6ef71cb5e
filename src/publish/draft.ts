/** Drafts: the message as its publisher wrote it. */
import { createHash } from "node:crypto";
import { clone, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Draft, MessageSchema } from "../../gen/tidings/v1/message_pb.ts";
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

/** Returns the fields that a message has from its draft. */
export function toMessage(draft: Draft): MessageInitShape<typeof MessageSchema> {
  const { kind, category, title, content, url, actor, object, payload, contentType, batchId } = draft;
  const message = {
    kind,
    category,
    title,
    content,
    url,
    payload,
    contentType,
    batchId,
    event: draft.event || "message",
  };
  return { ...message, ...(actor ? { actor } : {}), ...(object ? { object } : {}) };
}

/** Returns a digest of the content of a request: two requests under one request_id with the same digest are retries. */
export function digestOf(request: PublishRequest): string {
  const content = clone(PublishRequestSchema, request);
  if (content.message?.payload.case === "json") sortFields(content.message.payload.value);
  content.requestId = "";
  // The tenant is no content: a service that is bound to one may name it or leave it out.
  content.tenantId = "";
  // Whether to replace an earlier message is no content: a resend is recognised by its request_id alone.
  content.replace = false;
  return createHash("sha256").update(toBinary(PublishRequestSchema, content)).digest("base64url");
}

/** Sorts the fields of JSON objects: an encoder may write them in another order on each retry. */
function sortFields({ kind }: Value): void {
  if (kind.case === "listValue") kind.value.values.forEach(sortFields);
  if (kind.case !== "structValue") return;
  const fields = Object.entries(kind.value.fields).sort(([a], [b]) => (a < b ? -1 : 1));
  kind.value.fields = Object.fromEntries(fields);
  for (const [, value] of fields) sortFields(value);
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
