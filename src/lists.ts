import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Message } from "../gen/tidings/v1/message_pb.ts";
import type { ListMessagesRequest, ListUnreadRequest } from "../gen/tidings/v1/push_service_pb.ts";
import type { Clock } from "./clock.ts";
import { fail } from "./errors.ts";
import {
  activityFeed,
  everyoneFeed,
  followedFeeds,
  inboxFeeds,
  type NamedFeed,
  tenantFeed,
  tenantOf,
} from "./feeds.ts";
import { decodeMessage } from "./frame.ts";
import { type Identity, isUser, type UserIdentity } from "./identity.ts";
import type { Inbox, Totals } from "./inbox.ts";
import type { PagePlaces, PageTokens } from "./page-token.ts";
import type { ReadState } from "./read-state.ts";
import { endless } from "./seq-set.ts";
import type { Entry, Selection, SeqRanges, Store } from "./store.ts";

const unreadPageSize = 10;
const messagesPageSize = 15;
const maxPageSize = 100;
const notification = 1;

/** One page of a list. */
export interface Page {
  readonly messages: Message[];
  readonly nextPageToken: string;
}

type Filter = Omit<Selection, "feed" | "ranges" | "limit" | "now" | "expired" | "order" | "bodies">;
type Ranged = NamedFeed & { readonly ranges: SeqRanges };

/** ListUnread and ListMessages: feeds merged, newest first, in pages that stay stable while new messages arrive. */
export class Lists {
  readonly #store: Store;
  readonly #inbox: Inbox;
  readonly #tokens: PageTokens;
  readonly #clock: Clock;

  constructor(store: Store, inbox: Inbox, tokens: PageTokens, clock: Clock) {
    this.#store = store;
    this.#inbox = inbox;
    this.#tokens = tokens;
    this.#clock = clock;
  }

  /** What the user has not read. */
  async unread(user: UserIdentity, request: ListUnreadRequest): Promise<Page & Pick<Totals, "unread">> {
    const filter: Filter = {
      kinds: [notification],
      categories: request.categories,
      actorId: request.senderId,
      objectType: "",
      objectId: "",
      batchId: "",
      ...timeRange(request),
    };
    const state = await this.#inbox.state(user);
    const feeds = inboxFeeds(user).map((feed) => ({ ...feed, ranges: state.unreadRanges(feed.name) }));
    const size = pageSize(request.pageSize, unreadPageSize);
    const scope = ["unread", user.tenant, user.subject, filter];
    const [page, { unread }] = await Promise.all([
      this.#page(feeds, filter, size, scope, request.pageToken, undefined),
      this.#inbox.totals(user),
    ]);
    return { ...page, unread };
  }

  /** What is stored and the caller may see. */
  async messages(caller: Identity, request: ListMessagesRequest): Promise<Page> {
    if (request.roomId !== "") throw fail("NOT_BUILT", "rooms are not served yet", { field: "room_id" });
    const filter: Filter = {
      kinds: request.kinds,
      categories: request.categories,
      actorId: request.actorId,
      objectType: request.object?.type ?? "",
      objectId: request.object?.id ?? "",
      batchId: request.batchId,
      ...timeRange(request),
    };
    const state = isUser(caller) ? await this.#inbox.state(caller) : undefined;
    const feeds = listedFeeds(caller, request.tenantId).map((feed) => ({
      ...feed,
      ranges: state?.visibleRanges(feed.name) ?? ([[1, endless]] as const),
    }));
    const size = pageSize(request.pageSize, messagesPageSize);
    const scope = ["messages", caller.tenant ?? request.tenantId, caller.role, caller.subject, filter];
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
    const places = new Map(token === "" ? await this.#ends(feeds) : this.#tokens.decode(scope, token));
    const found = await Promise.all(feeds.map((feed) => this.#newest(feed, filter, places, size + 1)));
    const merged = mergeNewest(found, size + 1);
    const taken = merged.slice(0, size);
    for (const { feed, entry } of taken) places.set(feed.name, entry.seq);
    const messages = taken.map(({ feed, entry }) =>
      toMessage(feed, entry, state?.read(feed.name).has(entry.seq) ?? false),
    );
    return { messages, nextPageToken: merged.length > size ? this.#tokens.encode(scope, places) : "" };
  }

  /** Where a list begins: what comes later is in none of its pages, not even of a feed that the first page took nothing from. */
  async #ends(feeds: readonly Ranged[]): Promise<PagePlaces> {
    const heads = await this.#store.heads(feeds.map(({ key }) => key));
    return new Map(feeds.map(({ name }, index) => [name, (heads[index]?.seq ?? 0) + 1]));
  }

  async #newest(feed: Ranged, filter: Filter, places: PagePlaces, limit: number): Promise<Found[]> {
    const before = places.get(feed.name) ?? endless;
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

function toMessage({ name }: NamedFeed, entry: Entry, read: boolean): Message {
  const message = decodeMessage(entry.body, { feed: name, epoch: entry.epoch, seq: String(entry.seq) });
  message.read = read;
  return message;
}

/** A service sees what is the tenant's as a whole, never a user's own feed. */
function listedFeeds(caller: Identity, tenantId: string): readonly NamedFeed[] {
  const tenant = tenantOf(caller, tenantId);
  return isUser(caller) ? followedFeeds(caller) : [tenantFeed(tenant), activityFeed(tenant), everyoneFeed];
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

/** AIP-158: 0 asks for the default, too much is cut to the most. */
function pageSize(asked: number, usual: number): number {
  return asked === 0 ? usual : Math.min(asked, maxPageSize);
}
