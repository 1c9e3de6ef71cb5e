/** Pages of a few users that come and go while messages are published, recalled and expire, all by one seed. */
import { create } from "@bufbuild/protobuf";
import { expect } from "vitest";
import { Kind, type Message } from "../../gen/tidings/v1/message_pb.ts";
import { SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { MemoryBus } from "../../src/adapters/memory/bus.ts";
import type { Notice } from "../../src/ports/bus.ts";
import type { FeedKey } from "../../src/ports/store.ts";
import { Subscription } from "../../src/stream/subscription.ts";
import { ticks } from "../support/clock.ts";
import { type DraftInit, type TestCore, toEveryone, toTenant, toUser, userOf } from "../support/core.ts";
import { Page, pageFormats } from "../support/page.ts";

/** A bus that delays notices while it is held, and then passes them in order within one event-loop tick. */
export class HeldBus extends MemoryBus {
  #held: Notice[] | undefined;

  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    super.publish(held);
  }

  override publish(notices: readonly Notice[]): void {
    if (this.#held) this.#held.push(...notices);
    else super.publish(notices);
  }
}

interface PageFilter {
  readonly kinds?: Kind[];
  readonly categories?: string[];
}

const filters: readonly PageFilter[] = [
  {},
  {},
  {},
  {},
  { kinds: [Kind.NOTIFICATION] },
  { kinds: [Kind.NOTIFICATION] },
  { categories: ["a"] },
  { kinds: [Kind.ACTIVITY, Kind.NOTIFICATION], categories: ["a", "b"] },
];

function isWanted({ kinds = [], categories = [] }: PageFilter, kind: Kind, category: string): boolean {
  return (kinds.length === 0 || kinds.includes(kind)) && (categories.length === 0 || categories.includes(category));
}

function mayAlert(user: string, { kind, receiverId }: Message): boolean {
  return kind === Kind.NOTIFICATION || (kind === Kind.ACTIVITY && receiverId === user);
}

/** The feeds of a user, by the names that positions have. */
function feedsOf(user: string): readonly (readonly [name: string, key: FeedKey])[] {
  return [
    ["user", { tenant: "acme", name: `user/${user}` }],
    ["tenant", { tenant: "acme", name: "tenant" }],
    ["everyone", { tenant: "", name: "everyone" }],
    ["activity", { tenant: "acme", name: "activity" }],
  ];
}

/** For this number of recent messages, the server remembers whether a page has alerted, whatever the filters of the pages. */
const alertsRemembered = 64;

/** A published message, as far as it decides which pages get it. */
interface Published {
  readonly id: string;
  readonly kind: Kind;
  readonly category: string;
  /** Whether it was recalled or has a ttl, so that a page may miss it. */
  isMissable: boolean;
}

/** One page, and what its stream asked for. */
interface Opened {
  readonly user: string;
  readonly page: Page;
  readonly filter: PageFilter;
  /** Whether it gave the position 0 in each feed. */
  readonly isFromStart: boolean;
  /** Whether it takes one more write, or none. */
  isPaused: boolean;
  /** Whether its stream has ended. */
  isEnded: boolean;
}

/** Pages of a few users. */
export class Crowd {
  readonly #pages: Opened[] = [];
  readonly #published = new Map<string, Published>();
  readonly #node: TestCore;
  readonly #bus: HeldBus;
  readonly #fraction: () => number;
  /** Whether messages are recalled and expire: both make a node count the totals anew, whatever was wrong before. */
  readonly #isForgetful: boolean;
  readonly #calls: Promise<unknown>[] = [];

  constructor(node: TestCore, bus: HeldBus, fraction: () => number) {
    this.#node = node;
    this.#bus = bus;
    this.#fraction = fraction;
    this.#isForgetful = fraction() < 0.5;
  }

  /** Opens the first pages, and waits until they are live. */
  async start(): Promise<void> {
    const count = 6 + Math.floor(this.#fraction() * 8);
    for (let index = 0; index < count; index++) this.#open();
    await this.#settle();
  }

  /** Takes one random step. */
  async step(): Promise<void> {
    const chance = this.#fraction();
    if (chance < 0.75) this.#calls.push(this.#publish());
    else if (chance < 0.76) this.#open();
    else if (chance < 0.78) await this.#openAhead();
    else if (chance < 0.79) this.#any(this.#pages)?.page.subscription.close();
    else if (chance < 0.8) this.#pause();
    else if (chance < 0.825) this.#resume(this.#any(this.#pages.filter(({ isPaused }) => isPaused)));
    else if (chance < 0.85 && this.#isForgetful) this.#calls.push(this.#recall());
    else if (chance < 0.865) this.#any(this.#pages)?.page.subscription.beat();
    else if (chance < 0.88) this.#bus.hold();
    else if (chance < 0.93) this.#bus.release();
    else if (chance < 0.96) await this.#node.clock.advance(Math.floor(this.#fraction() * 1500));
    else await this.#checkTotals();
    // Where steps follow each other at once, streams are busy; where they do not, streams wait for the same.
    if (this.#fraction() < 0.6) await this.#node.settle();
    else await ticks(Math.floor(this.#fraction() * 8));
  }

  /** Lets every page take everything, and compares what each got with the Store. */
  async check(): Promise<void> {
    for (const opened of this.#pages) this.#resume(opened);
    await this.#checkTotals();
    await this.#checkMessages();
    await this.#checkAlerts();
    const got = this.#pages.reduce((sum, { page }) => sum + page.messages().length, 0);
    expect(this.#node.core.context.streams.delivered).toBe(got);
  }

  /** Waits until nothing is in flight or due, without letting time pass. */
  async #settle(): Promise<void> {
    await Promise.all(this.#calls.splice(0));
    this.#bus.release();
    // A step of the fake clock may pass the next expiry while totals are counted; the timer that the answer sets is due at once.
    await this.#node.pass(0);
  }

  async #checkTotals(): Promise<void> {
    await this.#settle();
    const live = this.#pages.filter((opened) => isLive(opened) && !opened.isPaused);
    for (const user of new Set(live.map((opened) => opened.user))) {
      const { total } = (await this.#node.unread(userOf("acme", user))).unread;
      for (const opened of live) if (opened.user === user) expect(opened.page.total).toBe(total);
    }
  }

  /** Each page got each message at most once and in order, and if it is open, every message that it asked for. */
  async #checkMessages(): Promise<void> {
    for (const opened of this.#pages) {
      const { user, page, filter, isFromStart } = opened;
      for (const [name, key] of feedsOf(user)) {
        const order = await this.#stored(key);
        const messages = page.messages(name);
        const got = messages.map(({ id }) => id);
        expect(new Set(got).size).toBe(got.length);
        const known = new Set(order);
        const kept = got.filter((id) => known.has(id));
        const keptSet = new Set(kept);
        expect(kept).toEqual(order.filter((id) => keptSet.has(id)));
        expect(messages.filter(({ kind, category }) => !isWanted(filter, kind, category))).toEqual([]);
        if (!isLive(opened)) continue;
        const from = isFromStart ? 0 : order.indexOf(kept[0] ?? "");
        const wanted = order.slice(from < 0 ? order.length : from).filter((id) => {
          const message = this.#published.get(id) as Published;
          return !message.isMissable && isWanted(filter, message.kind, message.category);
        });
        expect(kept.filter((id) => !this.#published.get(id)?.isMissable)).toEqual(wanted);
      }
    }
  }

  /** Of all pages of a user that got a message, one alerted. */
  async #checkAlerts(): Promise<void> {
    for (const user of new Set(this.#pages.map((opened) => opened.user))) {
      const own = this.#pages.filter((opened) => opened.user === user);
      for (const [name, key] of feedsOf(user)) {
        const messages = own.flatMap(({ page }) => page.messages(name));
        const alerts = messages.filter(({ alert }) => alert).map(({ id }) => id);
        expect(new Set(alerts).size).toBe(alerts.length);
        const isFiltered = own.some(({ filter }) => Object.keys(filter).length > 0);
        if (isFiltered && (await this.#stored(key)).length > alertsRemembered) continue;
        expect(new Set(alerts)).toEqual(new Set(messages.filter((each) => mayAlert(user, each)).map(({ id }) => id)));
      }
    }
  }

  /** The ids of a feed in the order in which they are stored. */
  async #stored(key: FeedKey): Promise<string[]> {
    const { entries } = await this.#node.store.read(key, 0, Number.MAX_SAFE_INTEGER, 100_000, 0);
    return entries.map(({ id }) => id);
  }

  #any<T>(all: readonly T[]): T | undefined {
    return all[Math.floor(this.#fraction() * all.length)];
  }

  #open(): void {
    const user = userOf("acme", `user-${Math.floor(this.#fraction() * 4)}`);
    const filter = this.#any(filters) ?? {};
    const isFromStart = this.#fraction() < 0.5;
    const positions = isFromStart ? feedsOf(user.subject).map(([feed]) => ({ feed, seq: "0" })) : [];
    const { context } = this.#node.core;
    const subscription = new Subscription(
      context,
      user,
      create(SubscribeRequestSchema, { ...filter, positions }),
      () => {},
    );
    const format = this.#any(pageFormats) as (typeof pageFormats)[number];
    const page = new Page(subscription, format, context.flushQueue);
    const opened = { user: user.subject, page, filter, isFromStart, isPaused: false, isEnded: false };
    this.#pages.push(opened);
    void page.ended.then(() => (opened.isEnded = true));
  }

  /** Opens a page that gets a message from the Store, whose notice has not come yet: the page is ahead of the others then. */
  async #openAhead(): Promise<void> {
    this.#bus.hold();
    await this.#publish();
    this.#open();
    await this.#node.settle();
    this.#bus.release();
  }

  #pause(): void {
    const opened = this.#any(this.#pages);
    if (!opened) return;
    opened.page.pause();
    opened.isPaused = true;
  }

  #resume(opened: Opened | undefined): void {
    if (!opened) return;
    opened.page.resume();
    opened.isPaused = false;
  }

  /** Publishes a few messages, and now and then more than streams take from a ring at once. */
  async #publish(): Promise<void> {
    const count = this.#fraction() < 0.002 ? 90 : 1 + Math.floor(this.#fraction() ** 4 * 4);
    const toOne = toUser(`user-${Math.floor(this.#fraction() * 4)}`);
    const chance = this.#fraction();
    const isActivity = chance < 0.06;
    const audience = chance < 0.03 || chance > 0.95 ? toOne : chance > 0.9 ? toEveryone : toTenant;
    // Activities go to a feed of their own, and may name a receiver.
    const kinds = isActivity ? [Kind.ACTIVITY] : [Kind.NOTIFICATION, Kind.NOTIFICATION, Kind.EVENT];
    const drafts = Array.from({ length: count }, (): DraftInit & { kind: Kind; category: string } => ({
      kind: this.#any(kinds) as Kind,
      category: this.#any(["a", "a", "a", "a", "a", "a", "b", "c"]) as string,
      ...(this.#isForgetful && this.#fraction() < 0.1 && { ttl: { seconds: 1n } }),
    }));
    const tenant = audience === toEveryone ? undefined : "acme";
    const ids = await this.#node.publishMany(tenant, audience, count, (index) => drafts[index] as DraftInit);
    ids.forEach((id, index) => {
      const { kind, category, ttl } = drafts[index] as (typeof drafts)[number];
      // An event without a ttl is not stored.
      this.#published.set(id, { id, kind, category, isMissable: ttl !== undefined || kind === Kind.EVENT });
    });
  }

  /** Recalls one of the last messages, whose notice may still be held. */
  async #recall(): Promise<void> {
    const message = this.#any([...this.#published.values()].slice(-8));
    if (!message) return;
    message.isMissable = true;
    await this.#node.core.recaller.recall("acme", [message.id]);
  }
}

/** Whether the page has caught up and its stream is open. */
function isLive({ page, isEnded }: Opened): boolean {
  return !isEnded && page.events.some(({ case: name }) => name === "caughtUp");
}
