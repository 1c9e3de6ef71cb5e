import { createHash } from "node:crypto";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { ListMessagesRequest, ListUnreadRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import { type Identity, isUser, type UserIdentity } from "../auth/identity.ts";
import { activityFeed, everyoneFeed, type NamedFeed, tenantFeed, tenantOf } from "../feeds/feed.ts";
import type { Clock } from "../ports/clock.ts";
import { type Entry, notificationKind, type Selection, type SeqRanges, type Store, unbounded } from "../ports/store.ts";
import type { RoomAccess } from "../rooms/access.ts";
import { requireRoom, roomFeed } from "../rooms/grants.ts";
import type { BatchList } from "./batch-list.ts";
import type { Inbox, Totals } from "./inbox.ts";
import { messagesPageSize, type Page, pageSize, toMessage, unreadPageSize } from "./list-page.ts";
import type { PageTokens } from "./page-token.ts";
import type { ReadState } from "./read-state.ts";
import type { ReadStateService } from "./read-state-service.ts";

const noFilter = { actorId: "", objectType: "", objectId: "", batchId: "" } as const;

type Filter = Omit<Selection, "feed" | "ranges" | "limit" | "now" | "expired" | "order" | "bodies">;
/** Where the next page of a merged list begins: by placeKey of a feed, the seq before which to go on. */
type Places = ReadonlyMap<string, number>;
type Ranged = NamedFeed & { readonly ranges: SeqRanges };

/** ListUnread and ListMessages: feeds merged, newest first, in pages that stay stable while new messages arrive. */
export class Lists {
  readonly #store: Store;
  readonly #inbox: Inbox;
  readonly #states: ReadStateService;
  readonly #access: RoomAccess;
  readonly #batches: BatchList;
  readonly #tokens: PageTokens;
  readonly #clock: Clock;

  constructor(
    store: Store,
    parts: { inbox: Inbox; states: ReadStateService; access: RoomAccess; batches: BatchList },
    tokens: PageTokens,
    clock: Clock,
  ) {
    this.#store = store;
    this.#inbox = parts.inbox;
    this.#states = parts.states;
    this.#access = parts.access;
    this.#batches = parts.batches;
    this.#tokens = tokens;
    this.#clock = clock;
  }

  /** What the user has not read. */
  async unread(user: UserIdentity, request: ListUnreadRequest): Promise<Page & Pick<Totals, "unread">> {
    const filter: Filter = {
      ...noFilter,
      kinds: [notificationKind],
      categories: request.categories,
      actorId: request.senderId,
      ...timeRange(request),
    };
    const { state, feeds, unread } = await this.#inbox.totals(user);
    const ranged = feeds.map((feed) => ({ ...feed, ranges: state.unreadRanges(feed.name) }));
    const size = pageSize(request.pageSize, unreadPageSize);
    const scope = ["unread", user.tenant, user.subject, filter];
    return { ...(await this.#page(ranged, filter, size, scope, request.pageToken, undefined)), unread };
  }

  /** What is stored and the caller may see. */
  async messages(caller: Identity, request: ListMessagesRequest): Promise<Page> {
    if (!isUser(caller) && request.batchId !== "") return this.#batches.page(caller, request);
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
    const mine = isUser(caller) ? await this.#states.load(caller) : undefined;
    const state = mine?.state;
    const tenant = tenantOf(caller, request.tenantId);
    if (room !== "") await this.#access.check(caller, room, "join", "room_id");
    const own = mine ? [...mine.feeds, activityFeed(tenant)] : [tenantFeed(tenant), activityFeed(tenant), everyoneFeed];
    const listed = room === "" ? own : [roomFeed(tenant, room)];
    const feeds = listed.map((feed) => ({
      ...feed,
      ranges: state?.visibleRanges(feed.name) ?? ([[1, unbounded]] as const),
    }));
    const size = pageSize(request.pageSize, messagesPageSize);
    const scope = ["messages", caller.tenant ?? request.tenantId, caller.role, caller.subject, room, filter];
    return this.#page(feeds, filter, size, scope, request.pageToken, state);
  }

  /** Merges the newest of each feed. A place in the token is the last seq taken from its feed. */
  async #page(
    feeds: readonly Ranged[],
    filter: Filter,
    size: number,
    scope: readonly unknown[],
    token: string,
    state: ReadState | undefined,
  ): Promise<Page> {
    const places = new Map(
      token === "" ? await this.#ends(feeds) : (this.#tokens.decode(scope, token) as [string, number][]),
    );
    const found = await Promise.all(feeds.map((feed) => this.#newest(feed, filter, places, size + 1)));
    const merged = mergeNewest(found, size + 1);
    const taken = merged.slice(0, size);
    for (const { feed, entry } of taken) places.set(placeKey(feed), entry.seq);
    const messages = taken.map(({ feed, entry }) =>
      toMessage(feed, entry, state?.read(feed.name).has(entry.seq) ?? false),
    );
    return { messages, nextPageToken: merged.length > size ? this.#tokens.encode(scope, [...places]) : "" };
  }

  /** Where a list begins: what comes later is in none of its pages, not even of a feed that the first page took nothing from. */
  async #ends(feeds: readonly Ranged[]): Promise<Places> {
    const heads = await this.#store.bounds(feeds.map(({ key }) => key));
    return new Map(feeds.map((feed, index) => [placeKey(feed), (heads[index]?.seq ?? 0) + 1]));
  }

  async #newest(feed: Ranged, filter: Filter, places: Places, limit: number): Promise<Found[]> {
    const before = places.get(placeKey(feed)) ?? unbounded;
    const ranges = feed.ranges
      .filter(([from]) => from < before)
      .map(([from, to]) => [from, Math.min(to, before - 1)] as const);
    const now = this.#clock.now();
    const selection = {
      ...filter,
      feed: feed.key,
      ranges,
      now,
      expired: false,
      order: "newest",
      bodies: true,
      limit,
    } as const;
    const entries = await this.#store.select(selection);
    return entries.map((entry) => ({ feed, entry }));
  }
}

interface Found {
  readonly feed: NamedFeed;
  readonly entry: Entry;
}

/** Takes the newest of the lists' heads, again and again: within a feed the order is the feed's own. */
function mergeNewest(lists: readonly (readonly Found[])[], limit: number): Found[] {
  const merged: Found[] = [];
  const next = lists.map(() => 0);
  while (merged.length < limit) {
    let newest = -1;
    let head: Found | undefined;
    lists.forEach((list, index) => {
      const found = list[next[index] as number];
      if (found && (!head || found.entry.publishTime > head.entry.publishTime)) [newest, head] = [index, found];
    });
    if (!head) break;
    merged.push(head);
    next[newest] = (next[newest] ?? 0) + 1;
  }
  return merged;
}

/** An inbox has up to 260 feeds, with names of up to 325 characters; a token has to stay short. */
function placeKey({ name }: NamedFeed): string {
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
