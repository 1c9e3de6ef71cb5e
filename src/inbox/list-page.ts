import type { Message } from "../../gen/tidings/v1/message_pb.ts";
import type { NamedFeed } from "../feeds/feed.ts";
import type { Entry } from "../ports/store.ts";
import { decodeMessage } from "../wire/frame.ts";

/** Messages on a page of ListUnread that names no size. */
export const unreadPageSize = 10;
/** Messages on a page of ListMessages that names no size. */
export const messagesPageSize = 15;
const maxPageSize = 100;

/** One page of a list. */
export interface Page {
  readonly messages: Message[];
  readonly nextPageToken: string;
}

/** AIP-158: 0 asks for the default, too much is cut to the most. */
export function pageSize(asked: number, usual: number): number {
  return asked === 0 ? usual : Math.min(asked, maxPageSize);
}

/** An entry as lists show it. */
export function toMessage({ name }: NamedFeed, entry: Entry, read: boolean): Message {
  const message = decodeMessage(entry.body, { feed: name, epoch: entry.epoch, seq: String(entry.seq) });
  message.read = read;
  return message;
}
