import type { UserIdentity } from "../auth/identity.ts";
import type { Totals } from "../inbox/inbox.ts";
import type { NamedChange } from "../inbox/read-change.ts";
import type { FeedBounds } from "../ports/store.ts";
import { eventFrame, type Frame } from "../wire/frame.ts";
import type { StreamContext } from "./context.ts";
import type { Delivery } from "./delivery.ts";
import type { FollowedFeeds } from "./followed-feeds.ts";
import type { Replay } from "./replay.ts";

/** The totals that one stream tells, each where it is true; a stream without a user has none. */
export class StreamTotals {
  readonly #context: StreamContext;
  readonly #follows: FollowedFeeds;
  readonly #delivery: Delivery;
  readonly #catchUp: Replay;
  #version: number | undefined;

  constructor(context: StreamContext, follows: FollowedFeeds, delivery: Delivery, catchUp: Replay) {
    this.#context = context;
    this.#follows = follows;
    this.#delivery = delivery;
    this.#catchUp = catchUp;
  }

  /** The version of the read state that the totals told last were counted by. */
  get version(): number | undefined {
    return this.#version;
  }

  /** Heads of all feeds that are followed, and the totals that are exact up to them. */
  async start(user: UserIdentity | undefined) {
    const totals = user && (await this.#follow(user, await this.#context.inbox.totals(user)));
    const heads = new Map(totals?.feeds.map(({ name }, index) => [name, totals.bounds[index] as FeedBounds]));
    const rest = this.#follows.all.map(({ cursor }) => cursor.feed).filter(({ name }) => !heads.has(name));
    const found = await this.#context.store.bounds(rest.map(({ key }) => key));
    rest.forEach(({ name }, index) => {
      heads.set(name, found[index] as FeedBounds);
    });
    return { heads, totals };
  }

  /**
   * A change of what is read, with totals: after all messages that they count, before any that they do not. A change that
   * comes from here on is told with totals of its own.
   */
  async *tell(user: UserIdentity | undefined, change: NamedChange): AsyncGenerator<readonly Frame[]> {
    // Taking rooms in is for who comes: two pages whose tokens name too many would drive out each other's for ever.
    const totals = user && (await this.#follow(user, await this.#context.inbox.recount(user)));
    for (const [index, { name }] of (totals?.feeds ?? []).entries()) {
      const followed = this.#follows.get(name);
      if (followed) yield* this.#catchUp.to(followed, totals?.bounds[index]?.seq ?? 0);
    }
    yield [eventFrame({ case: "readState", value: { ...change, ...(totals && { unread: totals.unread }) } })];
  }

  /** Totals of feeds that are all followed: what comes after the count is seen. */
  async #follow(user: UserIdentity, counted: Totals): Promise<Totals> {
    for (let totals = counted; ; totals = await this.#context.inbox.recount(user)) {
      const fresh = totals.feeds.filter(({ name }) => !this.#follows.get(name));
      totals.feeds.forEach((feed, index) => {
        if (fresh.includes(feed))
          this.#follows.add(feed, false).cursor.start(totals.bounds[index] as FeedBounds, undefined);
      });
      if (fresh.length > 0) continue;
      this.#delivery.tell(totals, this.#follows);
      this.#version = totals.state.version;
      return totals;
    }
  }
}
