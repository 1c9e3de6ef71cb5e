/** Pages that stay connected with the client library, over all transports, and record everything that they receive. */

import { setTimeout as sleep } from "node:timers/promises";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { connectTidings, type TidingsClient, type TidingsError, type TidingsOptions } from "../../src/client/index.ts";
import { Kind, type Message } from "../../src/gen.ts";
import type { Entry, Mark, Publish, Totals, View } from "./history.ts";
import { tokenFor } from "./server-process.ts";

const transports = ["ws", "connect", "grpc"] as const;
/** Shortens the client's back-off, of up to 30 s between attempts, which would make a run with 200 restarts too long. */
const backoffScale = 0.02;
/** The most messages that a page marks at once. */
const maxMarked = 200;
const maxBreaks = 5;
const maxAttempts = 20;

/** Converts a message for the history. Throws when it has no position, as only live events do. */
export function toEntry({ id, title, position, read }: Message, user: string): Entry {
  if (!position) throw new Error(`${id} has no position`);
  const feed = position.feed === "user" ? `user/${user}` : position.feed;
  return { key: title, id, feed, seq: Number(position.seq), read };
}

/** Keeps the entries that many pages receive only once in memory: a long run delivers millions. */
class SharedEntries {
  readonly #feeds = new Map<string, Map<number, Entry>>();

  /** The equal entry of another page, or this entry when there is none. */
  share(entry: Entry): Entry {
    const entries = this.#feeds.get(entry.feed) ?? new Map<number, Entry>();
    this.#feeds.set(entry.feed, entries);
    const known = entries.get(entry.seq);
    if (known && known.id === entry.id && known.key === entry.key) return known;
    if (!known) entries.set(entry.seq, entry);
    return entry;
  }
}

/** The reader name of the list of a user's messages. */
export function listOf(user: string): string {
  return `the list of ${user}`;
}

/** The feeds that a user follows. */
export function feedsOf(user: string): string[] {
  return [`user/${user}`, "tenant", "activity", "everyone"];
}

/** One page. */
export class Subscriber {
  readonly name: string;
  readonly user: string;
  readonly client: TidingsClient;
  /** Events that must not happen when the server keeps all messages: gaps, refused positions, a client that gives up. */
  readonly errors: string[] = [];
  /** The number of streams that it has opened. */
  streams = 0;
  /** Why its first few streams ended. */
  readonly breaks: string[] = [];
  readonly marks: Mark[] = [];
  readonly #entries: Entry[] = [];
  readonly #times: number[] = [];
  /** Ids of notifications, the latest last. */
  readonly #recent: string[] = [];
  #onChange: () => void = () => {};

  constructor(user: string, name: string, options: TidingsOptions, shared: SharedEntries) {
    this.name = name;
    this.user = user;
    this.client = connectTidings(options);
    this.client.on("hello", () => this.streams++);
    this.client.on("error", ({ message }) => {
      if (this.breaks.length < maxBreaks) this.breaks.push(`${name}: ${message}`);
    });
    this.client.on("gap", ({ after, to }) =>
      this.errors.push(`${name}: gap after ${after?.feed} ${after?.seq} to ${to?.seq}`),
    );
    this.client.on("reset", ({ reason }) => this.errors.push(`${name}: positions refused, ${reason}`));
    this.client.on("message", (message) => {
      this.#entries.push(shared.share(toEntry(message, user)));
      this.#times.push(performance.now());
      if (message.kind === Kind.NOTIFICATION && this.#recent.push(message.id) > maxMarked) this.#recent.shift();
      this.#onChange();
    });
    this.client.unread.subscribe(() => this.#onChange());
    this.client.state.subscribe((state) => {
      if (state === "closed") this.errors.push(`${name}: the client gave up`);
      this.#onChange();
    });
  }

  /** Everything that it has received. */
  get view(): View {
    const [entries, times] = [this.#entries, this.#times];
    return { reader: this.name, kind: "stream", feeds: feedsOf(this.user), entries, times };
  }

  /** Marks the latest notifications as read, and records whether the call was answered. */
  async markRecent(): Promise<void> {
    const reader = listOf(this.user);
    const ids = [...this.#recent];
    if (ids.length === 0) return;
    const answered = await this.client.markRead({ ids }).then(
      () => true,
      () => false,
    );
    this.marks.push({ reader, ids, answered });
  }

  /** Waits until a condition of the page holds. Also resolves after the timeout: the checker reports what is missing. */
  until(holds: () => boolean, timeoutMs = 20_000): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#onChange = () => {
        if (!holds()) return;
        clearTimeout(timer);
        resolve();
      };
      this.#onChange();
    });
  }

  /** Waits until it has received all these messages that are for its user. */
  async received(publishes: readonly Publish[], timeoutMs?: number): Promise<void> {
    const feeds = feedsOf(this.user);
    const keys = publishes
      .filter((publish) => publish.feeds.some((feed) => feeds.includes(feed)))
      .map(({ key }) => key);
    await this.until(() => {
      const recent = new Set(this.#entries.slice(-2_000).map(({ key }) => key));
      return keys.every((key) => recent.has(key));
    }, timeoutMs);
  }
}

/** Opens `pages` pages for each user, spread over all transports, and resolves when all of them are live. */
export async function openSubscribers(
  url: string,
  tenant: string,
  users: readonly string[],
  pages: number = transports.length,
): Promise<Subscriber[]> {
  const subscribers: Subscriber[] = [];
  const shared = new SharedEntries();
  for (const user of users) {
    const token = await tokenFor({ sub: user, tenant, role: "user" });
    for (let page = 0; page < pages; page++) {
      const transport = transports[page % transports.length] as (typeof transports)[number];
      subscribers.push(
        new Subscriber(
          user,
          `page ${page} of ${user} over ${transport}`,
          {
            url,
            token: async () => token,
            random: { fraction: () => Math.random() * backoffScale },
            ...(transport === "grpc"
              ? { transport: "connect", connect: createGrpcTransport({ baseUrl: url }) }
              : { transport }),
          },
          shared,
        ),
      );
    }
  }
  await Promise.all(subscribers.map((subscriber) => subscriber.until(() => subscriber.client.state.value === "live")));
  return subscribers;
}

/** Repeats a call while the server asks to retry: at the end of a run all pages list all messages at the same time. */
async function retrying<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const { retryAfterMs } = error as TidingsError;
      if (retryAfterMs === undefined || attempt === maxAttempts) throw error;
      await sleep(retryAfterMs);
    }
  }
}

/** Lists all messages of a user. */
export async function listAll(user: string, client: TidingsClient): Promise<View> {
  const entries: Entry[] = [];
  let pageToken = "";
  do {
    const page = await retrying(() => client.listMessages({ pageSize: 100, pageToken }));
    for (const message of page.messages) entries.push(toEntry(message, user));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return { reader: listOf(user), kind: "list", feeds: feedsOf(user), entries };
}

/** The unread count of a page, next to the one that the server lists. Waits a while until they are equal. */
export async function totalsOf(subscriber: Subscriber): Promise<Totals> {
  const { name, client } = subscriber;
  const { unread } = await retrying(() => client.listUnread({ pageSize: 1 }));
  const listed = unread?.total ?? 0;
  await subscriber.until(() => client.unread.value?.total === listed, 5_000);
  return { reader: name, badge: client.unread.value?.total, listed };
}
