import { toJsonString } from "@bufbuild/protobuf";
import { type Message, MessageSchema } from "../../gen/tidings/v1/message_pb.ts";
import { completeJson } from "../wire/complete-json.ts";
import { toEncodable } from "../wire/frame.ts";
import type { ReportUnencodable } from "../wire/unencodable.ts";

/** The default page size of ListUnread, in messages. */
export const unreadPageSize = 10;
/** The default page size of ListMessages, in messages. */
export const messagesPageSize = 15;
const maxPageSize = 100;
/** Bytes of the messages of a page, in the codec of the answer: gRPC clients refuse answers over 4 MiB by default. */
export const maxPageBytes = 1024 * 1024;

/** The codec of an answer. */
export type Codec = "proto" | "json";

/** One page of a list. */
export interface Page {
  readonly messages: Message[];
  /** "" on the last page. */
  readonly nextPageToken: string;
}

/** Returns the page size for a requested one: 0 asks for the default, and more than 100 gives 100 (AIP-158). */
export function pageSize(requested: number, defaultSize: number): number {
  return requested === 0 ? defaultSize : Math.min(requested, maxPageSize);
}

/** A message of a list, with the bytes of its stored body. */
export interface Listed {
  readonly message: Message;
  readonly bodyBytes: number;
}

/**
 * Returns the first of these messages, as many as a page holds in this codec: at least one, and no more than 1 MiB. In
 * JSON, a message whose payload JSON cannot express loses it, and `report` gets its id.
 */
export function fitPage(listed: readonly Listed[], codec: Codec, report: ReportUnencodable | undefined): Message[] {
  const messages = listed.map(({ message }) => (codec === "json" ? toEncodable(message, report) : message));
  const atMost = (index: number) => largest(listed[index] as Listed, codec);
  let bytes = 0;
  for (let index = 0; index < messages.length; index++) bytes += atMost(index);
  if (bytes <= maxPageBytes) return messages;
  // Encoding only to measure takes time, so it is left to pages that may be too large.
  const sizeOf = (index: number) =>
    codec === "json"
      ? Buffer.byteLength(toJsonString(MessageSchema, messages[index] as Message, completeJson)) + 1
      : atMost(index);
  bytes = 0;
  const end = messages.findIndex((_, index) => {
    bytes += sizeOf(index);
    return index > 0 && bytes > maxPageBytes;
  });
  return end === -1 ? messages : messages.slice(0, end);
}

/** Bytes of the fields that are not in a stored body, without the name of the feed. */
const extraBytes = 64;
/** Bytes of the names of all fields in JSON, with their punctuation, their times and their enum values. */
const jsonNames = 1024;
/** JSON writes a control character of one byte as an escape of six; nothing else grows more. */
const jsonGrowth = 6;

/** The most bytes that a message can have in a codec. */
function largest({ message, bodyBytes }: Listed, codec: Codec): number {
  const bytes = bodyBytes + extraBytes + 3 * (message.position?.feed.length ?? 0);
  return codec === "json" ? jsonGrowth * bytes + jsonNames : bytes;
}
