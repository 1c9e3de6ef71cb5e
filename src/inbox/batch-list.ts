import type { Message } from "../../gen/tidings/v1/message_pb.ts";
import type { ListMessagesRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import type { Identity } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import { tenantOf } from "../feeds/feed.ts";
import type { StoredMessages } from "../feeds/stored-messages.ts";
import type { Clock } from "../ports/clock.ts";
import type { BatchPage, Store } from "../ports/store.ts";
import { type Codec, fitPage, messagesPageSize, type Page, pageSize } from "./list-page.ts";
import type { PageTokens } from "./page-token.ts";
import { ReadState } from "./read-state.ts";

/** Lists a batch for its publisher: every message in every inbox, and whether its receiver has read it. */
export class BatchList {
  readonly #store: Store;
  readonly #tokens: PageTokens;
  readonly #clock: Clock;
  readonly #messages: StoredMessages;

  constructor(store: Store, tokens: PageTokens, clock: Clock, messages: StoredMessages) {
    this.#store = store;
    this.#tokens = tokens;
    this.#clock = clock;
    this.#messages = messages;
  }

  /**
   * Returns one page, for an answer in this codec. `caller` must not be a user. Throws FIELD_INVALID for any other filter,
   * and PAGE_TOKEN_INVALID.
   */
  async page(caller: Identity, request: ListMessagesRequest, codec: Codec): Promise<Page> {
    requireOnlyBatch(request);
    const { batchId, pageToken } = request;
    // Messages to everyone belong to no tenant.
    const tenant = caller.tenant === undefined && request.tenantId === "" ? "" : tenantOf(caller, request.tenantId);
    const size = pageSize(request.pageSize, messagesPageSize);
    const scope = ["batch", tenant, batchId];
    const after = pageToken === "" ? "" : (this.#tokens.decode(scope, pageToken) as string);
    const now = this.#clock.now();
    const { entries, next: last } = await this.#store.batch(tenant, batchId, after, size, now);
    const all = await Promise.all(entries.map((entry) => this.#message(entry)));
    const listed = all.flatMap((message, index) =>
      message ? [{ message, bodyBytes: entries[index]?.body.length ?? 0, index }] : [],
    );
    const messages = fitPage(listed, codec, this.#messages.reportUnencodable);
    // Only the store knows the cursor after a message: ask for the page that ends before the first one that did not fit.
    const end = listed[messages.length]?.index;
    const next = end === undefined ? last : (await this.#store.batch(tenant, batchId, after, end, now)).next;
    return { messages, nextPageToken: next === "" ? "" : this.#tokens.encode(scope, next) };
  }

  async #message({ feed, ...entry }: BatchPage["entries"][number]): Promise<Message | undefined> {
    const receiver = feed.name.startsWith("user/") ? feed.name.slice("user/".length) : undefined;
    if (receiver === undefined) return this.#messages.decode({ name: feed.name, key: feed }, entry);
    const message = this.#messages.decode({ name: "user", key: feed }, entry);
    if (!message) return undefined;
    const state = ReadState.decode(await this.#store.readState(feed.tenant, receiver));
    message.read = state.read("user").has(entry.seq);
    message.receiverId = receiver;
    return message;
  }
}

/** Refuses other filters: the publisher could not tell a filtered message from one that was never sent. */
function requireOnlyBatch(request: ListMessagesRequest): void {
  const { kinds, categories, actorId, object, roomId, startTime, endTime } = request;
  const others = { kinds: kinds.length, categories: categories.length, actor_id: actorId, object, room_id: roomId };
  const given = Object.entries({ ...others, start_time: startTime, end_time: endTime }).find(([, value]) => value);
  if (given) throw fail("FIELD_INVALID", "leave it out; a batch is listed whole", { field: given[0] });
}
