import type { Message } from "../../gen/tidings/v1/message_pb.ts";
import type { NamedFeed } from "../feeds/feed.ts";
import type { Entry } from "../ports/store.ts";
import { decodeMessage } from "../wire/frame.ts";

/** The default page size of ListUnread, in messages. */
export const unreadPageSize = 10;
/** The default page size of ListMessages, in messages. */
export const messagesPageSize = 15;
const maxPageSize = 100;

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

/** Decodes an entry into the message of a list, with its position and read flag. */
export function toMessage({ name }: NamedFeed, entry: Entry, read: boolean): Message {
  const message = decodeMessage(entry.body, { feed: name, epoch: entry.epoch, seq: String(entry.seq) });
  message.read = read;
  return message;
}
