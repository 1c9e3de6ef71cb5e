/** Pages of users that stay connected with the typed client, over all transports, and write down all that they receive. */

import { setTimeout as sleep } from "node:timers/promises";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { connectTidings, type TidingsClient, type TidingsError, type TidingsOptions } from "../../src/client/index.ts";
import { Kind, type Message } from "../../src/gen.ts";
import type { Entry, Mark, Publish, Totals, View } from "./history.ts";
import { tokenFor } from "./server-process.ts";

const transports = ["ws", "connect", "grpc"] as const;
/** The client waits up to 30 s between attempts; a run with 200 restarts cannot. */
const patience = 0.02;
/** What a page marks at once: all that came since its user marked last, at the pace of these runs. */
const mostMarked = 200;
const mostBreaks = 5;
const mostTries = 20;

/** A message as the history has it. Throws for one without a place: nothing here publishes such. */
export function toEntry({ id, title, position, read }: Message, user: string): Entry {
  if (!position) throw new Error(`${id} has no position`);
  const feed = position.feed === "user" ? `user/${user}` : position.feed;
  return { key: title, id, feed, seq: Number(position.seq), read };
}

/** What many pages receive, once in memory: a long run delivers millions. */
class SharedEntries {
  readonly #feeds = new Map<string, Map<number, Entry>>();

  /** The entry that another page has at this place, if it is the same message; else the one given. */
  share(entry: Entry): Entry {
    const places = this.#feeds.get(entry.feed) ?? new Map<number, Entry>();
    this.#feeds.set(entry.feed, places);
    const known = places.get(entry.seq);
    if (known && known.id === entry.id && known.key === entry.key) return known;
    if (!known) places.set(entry.seq, entry);
    return entry;
  }
}

/** The name of what the server lists for a user. */
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
  /** What must never happen to a page whose server kept everything. */
  readonly upsets: string[] = [];
  /** How many streams it has had. */
  streams = 0;
  /** Why its streams ended, as far as the first few go. */
  readonly breaks: string[] = [];
  readonly marks: Mark[] = [];
  readonly #entries: Entry[] = [];
  readonly #times: number[] = [];
  /** Ids of notifications, the latest last. */
  readonly #recent: string[] = [];
  #heard: () => void = () => {};

  constructor(user: string, name: string, options: TidingsOptions, shared: SharedEntries) {
    this.name = name;
    this.user = user;
    this.client = connectTidings(options);
    this.client.on("hello", () => this.streams++);
    this.client.on("error", ({ message }) => {
      if (this.breaks.length < mostBreaks) this.breaks.push(`${name}: ${message}`);
    });
    this.client.on("gap", ({ from, to }) =>
      this.upsets.push(`${name}: gap from ${from?.feed} ${from?.seq} to ${to?.seq}`),
    );
    this.client.on("reset", ({ reason }) => this.upsets.push(`${name}: positions refused, ${reason}`));
    this.client.on("message", (message) => {
      this.#entries.push(shared.share(toEntry(message, user)));
      this.#times.push(performance.now());
      if (message.kind === Kind.NOTIFICATION && this.#recent.push(message.id) > mostMarked) this.#recent.shift();
      this.#heard();
    });
    this.client.unread.subscribe(() => this.#heard());
    this.client.state.subscribe((state) => {
      if (state === "closed") this.upsets.push(`${name}: the client gave up`);
      this.#heard();
    });
  }

  get view(): View {
    const [entries, times] = [this.#entries, this.#times];
    return { reader: this.name, kind: "stream", feeds: feedsOf(this.user), entries, times };
  }

  /** Marks what came last as read. The answer may be lost with its server. */
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

  /** Waits until a condition of the page holds; gives up after the time and lets the checker say what is missing. */
  until(holds: () => boolean, withinMs = 20_000): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#heard = () => {
        if (!holds()) return;
        clearTimeout(timer);
        resolve();
      };
      this.#heard();
    });
  }

  /** Waits until all these messages are there, as far as they are for this page. */
  async received(publishes: readonly Publish[], withinMs?: number): Promise<void> {
    const feeds = feedsOf(this.user);
    const keys = publishes
      .filter((publish) => publish.feeds.some((feed) => feeds.includes(feed)))
      .map(({ key }) => key);
    await this.until(() => {
      const recent = new Set(this.#entries.slice(-2_000).map(({ key }) => key));
      return keys.every((key) => recent.has(key));
    }, withinMs);
  }
}

/** Pages over all transports in turn, so many per user, all of them live. */
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
            random: { fraction: () => Math.random() * patience },
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

/** A call at the end of a run, when everybody lists everything: repeated as often as the server asks for it, within reason. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (error) {
      const { retryAfterMs } = error as TidingsError;
      if (retryAfterMs === undefined || tries === mostTries) throw error;
      await sleep(retryAfterMs);
    }
  }
}

/** What the server lists for a user. */
export async function listAll(user: string, client: TidingsClient): Promise<View> {
  const entries: Entry[] = [];
  let pageToken = "";
  do {
    const page = await patiently(() => client.listMessages({ pageSize: 100, pageToken }));
    for (const message of page.messages) entries.push(toEntry(message, user));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return { reader: listOf(user), kind: "list", feeds: feedsOf(user), entries };
}

/** The badge of a page at rest, beside what the server lists. */
export async function totalsOf(subscriber: Subscriber): Promise<Totals> {
  const { name, client } = subscriber;
  const { unread } = await patiently(() => client.listUnread({ pageSize: 1 }));
  const listed = unread?.total ?? 0;
  await subscriber.until(() => client.unread.value?.total === listed, 5_000);
  return { reader: name, badge: client.unread.value?.total, listed };
}
