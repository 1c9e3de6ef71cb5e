import { createHash } from "node:crypto";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { ListMessagesRequest, ListUnreadRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import { type Identity, isUser, type UserIdentity } from "../auth/identity.ts";
import { activityFeed, everyoneFeed, type NamedFeed, tenantFeed, tenantOf } from "../feeds/feed.ts";
import type { StoredMessages } from "../feeds/stored-messages.ts";
import type { Clock } from "../ports/clock.ts";
import {
  type FeedBounds,
  notificationKind,
  type Selection,
  type SeqRanges,
  type Store,
  unbounded,
} from "../ports/store.ts";
import type { RoomAccess } from "../rooms/access.ts";
import { requireRoom, roomFeed } from "../rooms/grants.ts";
import { tenantKey } from "../util/keys.ts";
import { OwnerLimit, SharedCalls } from "../util/shared-calls.ts";
import type { BatchList } from "./batch-list.ts";
import type { Inbox, Totals } from "./inbox.ts";
import {
  type Codec,
  fitPage,
  maxPageBytes,
  messagesPageSize,
  type Page,
  pageSize,
  unreadPageSize,
} from "./list-page.ts";
import { mergeNewest, NewestOfFeed } from "./newest.ts";
import type { PageTokens } from "./page-token.ts";
import type { ReadState } from "./read-state.ts";
import type { ReadStateService } from "./read-state-service.ts";

const noFilter = { actorId: "", objectType: "", objectId: "", batchId: "" } as const;

type Filter = Omit<Selection, "feed" | "ranges" | "limit" | "now" | "expired" | "order" | "bodies">;
/** Where the next page of a merged list begins: by `cursorKey` of a feed, the seq before which to go on. */
type PageCursor = ReadonlyMap<string, number>;
/** A feed, its ranges to list, and its bounds if they are known. */
type Ranged = NamedFeed & { readonly ranges: SeqRanges; readonly bounds?: FeedBounds };

/** Pages of one user that are read at the same time. */
const pagesAtOnce = 2;

/** What a page depends on, besides the messages. */
interface PageRequest {
  readonly caller: Identity;
  readonly filter: Filter;
  readonly size: number;
  /** Who lists what: a page token is good for the same scope only. */
  readonly scope: readonly unknown[];
  readonly token: string;
  readonly codec: Codec;
  /** The read state of a user. */
  readonly state: ReadState | undefined;
  /** Whether messages say that they were read. */
  readonly marked: boolean;
}

/** Serves ListUnread and ListMessages: feeds merged, newest first, in pages that do not shift when new messages arrive. */
export class Lists {
  readonly #store: Store;
  readonly #inbox: Inbox;
  readonly #states: ReadStateService;
  readonly #access: RoomAccess;
  readonly #batches: BatchList;
  readonly #messages: StoredMessages;
  readonly #tokens: PageTokens;
  readonly #clock: Clock;
  readonly #pages = new SharedCalls<Page>();
  readonly #perUser = new OwnerLimit(pagesAtOnce);

  constructor(
    store: Store,
    parts: {
      inbox: Inbox;
      states: ReadStateService;
      access: RoomAccess;
      batches: BatchList;
      messages: StoredMessages;
    },
    tokens: PageTokens,
    clock: Clock,
  ) {
    this.#store = store;
    this.#inbox = parts.inbox;
    this.#states = parts.states;
    this.#access = parts.access;
    this.#batches = parts.batches;
    this.#messages = parts.messages;
    this.#tokens = tokens;
    this.#clock = clock;
  }

  /**
   * Returns a page of the user's unread notifications, for an answer in this codec, and the totals of the whole inbox.
   * Throws PAGE_TOKEN_INVALID.
   */
  async unread(
    user: UserIdentity,
    request: ListUnreadRequest,
    codec: Codec = "proto",
  ): Promise<Page & Pick<Totals, "unread">> {
    const filter: Filter = {
      ...noFilter,
      kinds: [notificationKind],
      categories: request.categories,
      actorId: request.actorId,
      ...timeRange(request),
    };
    const { state, feeds, bounds, unread } = await this.#inbox.totals(user);
    const ranged = feeds.map((feed, index) => ({
      ...feed,
      ranges: state.unreadRanges(feed.name),
      bounds: bounds[index] as FeedBounds,
    }));
    const size = pageSize(request.pageSize, unreadPageSize);
    const scope = ["unread", user.tenant, user.subject, filter];
    const token = request.pageToken;
    const page = await this.#page(ranged, { caller: user, filter, size, scope, token, codec, state, marked: false });
    return { ...page, unread };
  }

  /**
   * Returns a page of the messages that the caller may see: a user's inbox and activities, the tenant's feeds for a service,
   * one room, or a batch; for an answer in this codec. Throws PAGE_TOKEN_INVALID, FIELD_INVALID, TENANT_REQUIRED, TENANT_FORBIDDEN, ROOM_FORBIDDEN and
   * AUTHORIZE_UNAVAILABLE.
   */
  async messages(caller: Identity, request: ListMessagesRequest, codec: Codec = "proto"): Promise<Page> {
    if (!isUser(caller) && request.batchId !== "") return this.#batches.page(caller, request, codec);
    const filter: Filter = {
      kinds: request.kinds,
      categories: request.categories,
      actorId: request.actorId,
      objectType: request.object?.type ?? "",
      objectId: request.object?.id ?? "",
      batchId: request.batchId,
      ...timeRange(request),
    };
    const room = request.roomId === "" ? "" : requireRoom(request.roomId, "room_id");
    const inbox = isUser(caller) ? await this.#states.load(caller) : undefined;
    const state = inbox?.state;
    const tenant = tenantOf(caller, request.tenantId);
    if (room !== "") await this.#access.check(caller, room, "join", "room_id");
    const visible = inbox
      ? [...inbox.feeds, activityFeed(tenant)]
      : [tenantFeed(tenant), activityFeed(tenant), everyoneFeed];
    const listed = room === "" ? visible : [roomFeed(tenant, room)];
    const feeds = listed.map((feed) => ({
      ...feed,
      ranges: state?.visibleRanges(feed.name) ?? ([[1, unbounded]] as const),
    }));
    const size = pageSize(request.pageSize, messagesPageSize);
    const scope = ["messages", caller.tenant ?? request.tenantId, caller.role, caller.subject, room, filter];
    const token = request.pageToken;
    return this.#page(feeds, { caller, filter, size, scope, token, codec, state, marked: true });
  }

  /**
   * Reads a page. Requests for the same page at the same time share one; a user's others are read two at a time, so that
   * nobody keeps the store from other users.
   */
  async #page(feeds: readonly Ranged[], request: PageRequest): Promise<Page> {
    const { caller, size, scope, token, codec, state } = request;
    const cursor =
      token === "" ? await this.#startCursor(feeds) : (this.#tokens.decode(scope, token) as [string, number][]);
    const read = () => this.#read(feeds, request, new Map(cursor));
    const whenAllowed = () =>
      isUser(caller) ? this.#perUser.run(tenantKey(caller.tenant, caller.subject), read) : read();
    // A first state that is not stored yet may differ each time that it is made.
    if (state?.version === 0) return whenAllowed();
    const names = feeds.map(({ name }) => name);
    const key = [scope, state?.version, this.#inbox.recalls, names, [...cursor], size, codec];
    return this.#pages.run(JSON.stringify(key), whenAllowed);
  }

  /** Merges the newest messages of the feeds. The cursor in the token has the last seq taken from each feed. */
  async #read(
    feeds: readonly Ranged[],
    { filter, size, scope, codec, state, marked }: PageRequest,
    cursor: Map<string, number>,
  ): Promise<Page> {
    // A user may have entered a room since the first page.
    const added = feeds.filter((feed) => !cursor.has(cursorKey(feed)));
    for (const [key, before] of await this.#startCursor(added)) cursor.set(key, before);
    const selection = { ...filter, now: this.#clock.now() };
    const newest = feeds.map((feed) => {
      const before = cursor.get(cursorKey(feed)) as number;
      return new NewestOfFeed(this.#store, { feed, ranges: feed.ranges, before }, selection);
    });
    const { found: taken, hasMore } = await mergeNewest(newest, size, maxPageBytes);
    const listed = taken.flatMap(({ feed, entry }, index) => {
      const message = this.#messages.decode(feed, entry);
      if (!message) return [];
      message.read = (marked && state?.read(feed.name).has(entry.seq)) ?? false;
      return [{ message, bodyBytes: entry.body.length, index }];
    });
    const messages = fitPage(listed, codec, this.#messages.reportUnencodable);
    const end = listed[messages.length]?.index ?? taken.length;
    for (const { feed, entry } of taken.slice(0, end)) cursor.set(cursorKey(feed), entry.seq);
    return { messages, nextPageToken: hasMore || taken.length > end ? this.#tokens.encode(scope, [...cursor]) : "" };
  }

  /**
   * Returns the cursor of a list's first page: the end of every feed. Later messages are on none of its pages, not even
   * those of a feed from which the first page took nothing.
   */
  async #startCursor(feeds: readonly Ranged[]): Promise<PageCursor> {
    const unknown = feeds.filter(({ bounds }) => !bounds);
    const found = unknown.length === 0 ? [] : await this.#store.bounds(unknown.map(({ key }) => key));
    const bounds = new Map(unknown.map((feed, index) => [feed, found[index]]));
    return new Map(feeds.map((feed) => [cursorKey(feed), ((feed.bounds ?? bounds.get(feed))?.seq ?? 0) + 1]));
  }
}

/** Returns a feed's key in a cursor: a short hash, since an inbox has up to 260 feeds with names of up to 325 characters. */
function cursorKey({ name }: NamedFeed): string {
  return createHash("sha256").update(name).digest("base64url").slice(0, 8);
}

function timeRange({
  startTime,
  endTime,
}: ListUnreadRequest | ListMessagesRequest): Pick<Filter, "startTime" | "endTime"> {
  return {
    startTime: startTime ? timestampMs(startTime) : Number.NEGATIVE_INFINITY,
    endTime: endTime ? timestampMs(endTime) : Number.POSITIVE_INFINITY,
  };
}
