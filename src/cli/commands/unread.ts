import { create, toJson } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import {
  type ListUnreadResponse,
  ListUnreadResponseSchema,
  type MarkReadResponse,
  MarkReadResponseSchema,
  type PushService,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import { toEncodable } from "../../wire/frame.ts";
import type { Command } from "../command.ts";
import type { Values } from "../config/settings.ts";
import { unreadText } from "../output/counts.ts";
import { messageLine } from "../output/message-line.ts";
import { pushClient } from "../service-client.ts";

/** The most messages that one call of ListUnread returns. */
const pageSize = 100;
/** The most ids that one call of MarkRead takes. */
const markSize = 1_000;

/** `tidings unread`: lists the unread messages of the caller. */
export const unread: Command = {
  name: "unread",
  summary: "List unread messages, newest first, with totals; --mark marks them as read.",
  details:
    "Needs the token of a user. --json prints the response of ListUnread, and with --mark also the response of MarkRead.",
  examples: ["tidings unread", "tidings unread --categories billing --limit 100 --mark", "tidings unread --json"],
  async run(context) {
    const { values, print } = context;
    const client = pushClient(context, "unread");
    const listed = await list(client, values);
    if (values.json) {
      const messages = listed.messages.map((message) => toEncodable(message, undefined));
      print.json(toJson(ListUnreadResponseSchema, { ...listed, messages }, { alwaysEmitImplicit: true }));
    } else {
      for (const message of listed.messages) print.line(messageLine(print, message));
      if (listed.unread !== undefined) print.line(unreadText(listed.unread));
    }
    if (!values.mark || listed.messages.length === 0) return 0;
    const marked = await mark(
      client,
      listed.messages.map(({ id }) => id),
    );
    if (values.json) print.json(toJson(MarkReadResponseSchema, marked, { alwaysEmitImplicit: true }));
    else print.line(`marked ${marked.changed} as read, ${unreadText(marked.unread ?? { total: 0, byCategory: {} })}`);
    return 0;
  },
};

/** Lists up to --limit messages, page by page, and joins the pages into one response with the latest totals. */
async function list(client: Client<typeof PushService>, values: Values): Promise<ListUnreadResponse> {
  const all = create(ListUnreadResponseSchema);
  do {
    const page = await client.listUnread({
      categories: [...(values.categories ?? [])],
      pageSize: Math.min(pageSize, values.limit - all.messages.length),
      pageToken: all.nextPageToken,
    });
    all.messages.push(...page.messages);
    all.nextPageToken = page.nextPageToken;
    if (page.unread !== undefined) all.unread = page.unread;
  } while (all.nextPageToken !== "" && all.messages.length < values.limit);
  return all;
}

/** Marks these messages as read, in as few calls as possible, and joins the responses; `changed` is the sum. */
async function mark(client: Client<typeof PushService>, messageIds: readonly string[]): Promise<MarkReadResponse> {
  const all = create(MarkReadResponseSchema);
  for (let from = 0; from < messageIds.length; from += markSize) {
    const ids = messageIds.slice(from, from + markSize);
    const part = await client.markRead({ target: { case: "ids", value: { messageIds: ids } } });
    all.changed += part.changed;
    if (part.unread !== undefined) all.unread = part.unread;
  }
  return all;
}
