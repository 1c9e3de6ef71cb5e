/** What the inboxes of some users must be, computed in the plainest way from what was done. */
import { Kind } from "../../gen/tidings/v1/message_pb.ts";

const newcomerMs = 7 * 86_400_000;

/** A message as published. */
export interface ModelMessage {
  readonly id: string;
  readonly kind: Kind;
  readonly category: string;
  readonly publishTime: number;
  readonly expireTime: number;
  /** The feed and the place in it, by tenant and user; under "tenant\n" for what a whole tenant shares. */
  readonly places: ReadonlyMap<string, { readonly feed: string; readonly seq: number }>;
  recalled: boolean;
}

/** Whom a message is for. */
export type ModelAudience = { readonly users: readonly string[] } | "room" | "tenant" | "everyone";

/** What to mark. */
export interface ModelMark {
  readonly ids?: readonly string[];
  readonly oldest?: number;
  readonly categories: readonly string[];
  readonly unread: boolean;
  readonly upTo?: ReadonlyMap<string, number>;
}

interface ModelUser {
  readonly read: Set<string>;
  readonly deleted: Set<string>;
}

/** The feed of the one room, which every user's token names. */
export const roomFeed = "room/a";

/** The feeds whose notifications are in an inbox. */
const inboxFeeds = ["user", "tenant", "everyone", roomFeed];

/** All tenants and users. */
export class InboxModel {
  readonly messages: ModelMessage[] = [];
  readonly #heads = new Map<string, number>();
  readonly #users = new Map<string, ModelUser>();

  /** A message was stored. */
  publish(tenant: string, to: ModelAudience, facts: Omit<ModelMessage, "places" | "recalled">): void {
    const places = new Map<string, { feed: string; seq: number }>();
    if (to === "everyone") places.set("", { feed: "everyone", seq: this.#append("everyone") });
    else if (to === "room") places.set(tenant, { feed: roomFeed, seq: this.#append(`${tenant}\n${roomFeed}`) });
    else if (to === "tenant" || facts.kind === Kind.ACTIVITY) {
      const feed = facts.kind === Kind.ACTIVITY ? "activity" : "tenant";
      places.set(tenant, { feed, seq: this.#append(`${tenant}\n${feed}`) });
    } else {
      for (const user of new Set(to.users)) {
        places.set(`${tenant}\n${user}`, { feed: "user", seq: this.#append(`${tenant}\nuser/${user}`) });
      }
    }
    this.messages.push({ ...facts, places, recalled: false });
  }

  /** A user appears; the first time, what was broadcast long before counts as read. */
  contact(tenant: string, user: string, now: number): ModelUser {
    const id = `${tenant}\n${user}`;
    const known = this.#users.get(id);
    if (known) return known;
    const old = this.messages.filter((message) => {
      const place = this.place(message, tenant, user);
      return place && place.feed !== "user" && message.publishTime < now - newcomerMs;
    });
    const made = { read: new Set(old.map(({ id }) => id)), deleted: new Set<string>() };
    this.#users.set(id, made);
    return made;
  }

  /** Whether the user was ever there. */
  knows(tenant: string, user: string): boolean {
    return this.#users.has(`${tenant}\n${user}`);
  }

  /** Where a message lies for a user; undefined when it is none of the user's. */
  place({ places }: ModelMessage, tenant: string, user: string) {
    return places.get(`${tenant}\n${user}`) ?? places.get(tenant) ?? places.get("");
  }

  /** Marks; answers how many changed. */
  mark(tenant: string, user: string, mark: ModelMark, now: number): number {
    const { read } = this.contact(tenant, user, now);
    const fits = this.#notifications(tenant, user, now).filter((message) => {
      const { feed, seq } = this.place(message, tenant, user) ?? { feed: "", seq: 0 };
      const reached = !mark.upTo || seq <= (mark.upTo.get(feed) ?? 0);
      const named = !mark.ids || mark.ids.includes(message.id);
      const ofCategory = mark.categories.length === 0 || mark.categories.includes(message.category);
      return reached && named && ofCategory && read.has(message.id) === mark.unread;
    });
    const oldest = fits.toSorted((a, b) => a.publishTime - b.publishTime || (a.id < b.id ? -1 : 1));
    const changed = oldest.slice(0, mark.oldest ?? oldest.length);
    for (const { id } of changed) {
      if (mark.unread) read.delete(id);
      else read.add(id);
    }
    return changed.length;
  }

  /** Deletes what fits; answers how many that could be seen went. */
  delete(tenant: string, user: string, fits: (message: ModelMessage) => boolean, now: number): number {
    const { deleted } = this.contact(tenant, user, now);
    const gone = this.messages.filter((message) => {
      const feed = this.place(message, tenant, user)?.feed;
      return (
        feed !== undefined &&
        inboxFeeds.includes(feed) &&
        live(message, now) &&
        !deleted.has(message.id) &&
        fits(message)
      );
    });
    for (const { id } of gone) deleted.add(id);
    return gone.length;
  }

  /** What the user has not read, newest first. */
  unread(tenant: string, user: string, now: number): ModelMessage[] {
    const { read } = this.contact(tenant, user, now);
    return this.#notifications(tenant, user, now)
      .filter(({ id }) => !read.has(id))
      .reverse();
  }

  #notifications(tenant: string, user: string, now: number): ModelMessage[] {
    const { deleted } = this.contact(tenant, user, now);
    return this.messages.filter((message) => {
      const feed = this.place(message, tenant, user)?.feed;
      const counted = message.kind === Kind.NOTIFICATION && feed !== undefined && inboxFeeds.includes(feed);
      return counted && live(message, now) && !deleted.has(message.id);
    });
  }

  #append(feed: string): number {
    const seq = (this.#heads.get(feed) ?? 0) + 1;
    this.#heads.set(feed, seq);
    return seq;
  }
}

/** Whether a message can be seen at a time. */
export function live({ recalled, expireTime }: ModelMessage, now: number): boolean {
  return !recalled && expireTime > now;
}

/** How many there are of each category. */
export function tallyOf(messages: readonly { readonly category: string }[]): Map<string, number> {
  const tally = new Map<string, number>();
  for (const { category } of messages) tally.set(category, (tally.get(category) ?? 0) + 1);
  return tally;
}
