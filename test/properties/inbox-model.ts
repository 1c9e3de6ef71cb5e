/** A plain model of the inboxes of some users: what they must hold after the calls that were made. */
import { Kind } from "../../gen/tidings/v1/message_pb.ts";

const newcomerMs = 7 * 86_400_000;

/** A message as published. */
export interface ModelMessage {
  readonly id: string;
  readonly kind: Kind;
  readonly category: string;
  readonly publishTime: number;
  readonly expireTime: number;
  /** The feed and seq by reader: `tenant\nuser`, a tenant for what it shares, or "" for everyone. */
  readonly locations: ReadonlyMap<string, { readonly feed: string; readonly seq: number }>;
  recalled: boolean;
}

/** The audience of a message. */
export type ModelAudience = { readonly users: readonly string[] } | "room" | "tenant" | "everyone";

/** A request to mark messages. */
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

/** The feed of the only room, which every user's token names. */
export const roomFeed = "room/a";

/** The feeds whose notifications are in an inbox. */
const inboxFeeds = ["user", "tenant", "everyone", roomFeed];

/** The inboxes of all tenants and users. */
export class InboxModel {
  readonly messages: ModelMessage[] = [];
  readonly #lastSeqs = new Map<string, number>();
  readonly #users = new Map<string, ModelUser>();

  /** Stores a message. */
  publish(tenant: string, to: ModelAudience, facts: Omit<ModelMessage, "locations" | "recalled">): void {
    const locations = new Map<string, { feed: string; seq: number }>();
    if (to === "everyone") locations.set("", { feed: "everyone", seq: this.#append("everyone") });
    else if (to === "room") locations.set(tenant, { feed: roomFeed, seq: this.#append(`${tenant}\n${roomFeed}`) });
    else if (to === "tenant" || facts.kind === Kind.ACTIVITY) {
      const feed = facts.kind === Kind.ACTIVITY ? "activity" : "tenant";
      locations.set(tenant, { feed, seq: this.#append(`${tenant}\n${feed}`) });
    } else {
      for (const user of new Set(to.users)) {
        locations.set(`${tenant}\n${user}`, { feed: "user", seq: this.#append(`${tenant}\nuser/${user}`) });
      }
    }
    this.messages.push({ ...facts, locations, recalled: false });
  }

  /** Returns a user. On first contact, old messages that were not sent to the user alone count as read. */
  contact(tenant: string, user: string, now: number): ModelUser {
    const id = `${tenant}\n${user}`;
    const known = this.#users.get(id);
    if (known) return known;
    const old = this.messages.filter((message) => {
      const location = this.locate(message, tenant, user);
      return location && location.feed !== "user" && message.publishTime < now - newcomerMs;
    });
    const made = { read: new Set(old.map(({ id }) => id)), deleted: new Set<string>() };
    this.#users.set(id, made);
    return made;
  }

  /** Whether there was a contact with the user. */
  knows(tenant: string, user: string): boolean {
    return this.#users.has(`${tenant}\n${user}`);
  }

  /** Where a message lies for a user; undefined if the user does not get it. */
  locate({ locations }: ModelMessage, tenant: string, user: string) {
    return locations.get(`${tenant}\n${user}`) ?? locations.get(tenant) ?? locations.get("");
  }

  /** Marks messages, and returns how many changed. */
  mark(tenant: string, user: string, mark: ModelMark, now: number): number {
    const { read } = this.contact(tenant, user, now);
    const fits = this.#notifications(tenant, user, now).filter((message) => {
      const { feed, seq } = this.locate(message, tenant, user) ?? { feed: "", seq: 0 };
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

  /** Deletes messages that pass `fits`, and returns how many of them could be seen. */
  delete(tenant: string, user: string, fits: (message: ModelMessage) => boolean, now: number): number {
    const { deleted } = this.contact(tenant, user, now);
    const gone = this.messages.filter((message) => {
      const feed = this.locate(message, tenant, user)?.feed;
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

  /** The user's unread notifications, newest first. */
  unread(tenant: string, user: string, now: number): ModelMessage[] {
    const { read } = this.contact(tenant, user, now);
    return this.#notifications(tenant, user, now)
      .filter(({ id }) => !read.has(id))
      .reverse();
  }

  #notifications(tenant: string, user: string, now: number): ModelMessage[] {
    const { deleted } = this.contact(tenant, user, now);
    return this.messages.filter((message) => {
      const feed = this.locate(message, tenant, user)?.feed;
      const counted = message.kind === Kind.NOTIFICATION && feed !== undefined && inboxFeeds.includes(feed);
      return counted && live(message, now) && !deleted.has(message.id);
    });
  }

  #append(feed: string): number {
    const seq = (this.#lastSeqs.get(feed) ?? 0) + 1;
    this.#lastSeqs.set(feed, seq);
    return seq;
  }
}

/** Whether a message can be seen at that time. */
export function live({ recalled, expireTime }: ModelMessage, now: number): boolean {
  return !recalled && expireTime > now;
}

/** The number of messages by category. */
export function countByCategory(messages: readonly { readonly category: string }[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { category } of messages) counts.set(category, (counts.get(category) ?? 0) + 1);
  return counts;
}
