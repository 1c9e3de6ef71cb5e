import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Kind, type Message } from "../../gen/tidings/v1/message_pb.ts";
import { SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { MemoryBus } from "../../src/adapters/memory/bus.ts";
import type { Notice } from "../../src/ports/bus.ts";
import { Subscription } from "../../src/stream/subscription.ts";
import { seededRandom, ticks } from "../support/clock.ts";
import { type DraftInit, type TestCore, toTenant, toUser, userOf, withTestCore } from "../support/core.ts";
import { Page, pageFormats } from "../support/page.ts";
import type { Reader } from "../support/reader.ts";

const ann = userOf("acme");

/** A bus that loses, repeats and delays notices, until `whole` is set. */
class FaultyBus extends MemoryBus {
  whole = false;
  readonly #fraction: () => number;
  #held: Notice[] = [];

  constructor(fraction: () => number) {
    super();
    this.#fraction = fraction;
  }

  override publish(notices: readonly Notice[]): void {
    for (const notice of notices) this.#pass(notice);
  }

  #pass(notice: Notice): void {
    const chance = this.whole ? 1 : this.#fraction();
    if (chance < 0.2) return;
    if (chance < 0.45) {
      this.#held.push(notice);
      return;
    }
    super.publish(chance < 0.6 ? [notice, notice] : [notice]);
    // Held notices come late and in the wrong order.
    if (!this.whole && this.#fraction() < 0.6) return;
    super.publish(this.#held.reverse());
    this.#held = [];
  }
}

function ids(reader: Reader, feed: string): string[] {
  return reader.messages.filter(({ position }) => position?.feed === feed).map(({ id }) => id);
}

/** Publishes a burst in several concurrent calls, alternately to the user and to the tenant. */
async function burst(node: TestCore, counts: readonly number[]): Promise<void> {
  await Promise.all(
    counts.map((count, index) => node.publishMany("acme", index % 2 === 0 ? toUser("ann") : toTenant, count)),
  );
}

/** The ids of a feed in the order in which they are stored. */
async function stored(node: TestCore, name: string): Promise<string[]> {
  const { entries } = await node.store.read({ tenant: "acme", name }, 0, Number.MAX_SAFE_INTEGER, 100_000, 0);
  return entries.map(({ id }) => id);
}

describe("Each message arrives once and in order", () => {
  test("on a stream that replays while others publish, in whatever order the store answers", async () => {
    const count = fc.integer({ min: 1, max: 90 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(count, { maxLength: 4 }),
        fc.array(count, { minLength: 1, maxLength: 6 }),
        fc.nat({ max: 5 }),
        fc.nat(),
        async (before, meanwhile, delay, seed) => {
          const { fraction } = seededRandom(seed);
          const wait = () => ticks(Math.floor(fraction() * (delay + 1)));
          await withTestCore(
            async (node) => {
              await burst(node, before);
              const positions = [
                { feed: "user", seq: "0" },
                { feed: "tenant", seq: "0" },
              ];
              const reader = node.subscribe(ann, { positions }, { paused: fraction() < 0.3 });
              for (const each of meanwhile) {
                await wait();
                void burst(node, [each, Math.ceil(each / 2)]);
                if (fraction() < 0.5) reader.step();
              }
              await wait();
              reader.resume();
              await node.settle();
              expect(ids(reader, "user")).toEqual(await stored(node, "user/ann"));
              expect(ids(reader, "tenant")).toEqual(await stored(node, "tenant"));
              expect(reader.badge.total).toBe(reader.messages.length);
            },
            {
              async around(_method, call) {
                await wait();
                const answer = await call();
                await wait();
                return answer;
              },
            },
          );
        },
      ),
      { numRuns: 20 },
    );
  }, 60_000);

  test("over a bus that loses, repeats and reorders, once a later notice comes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
        fc.nat(),
        async (bursts, seed) => {
          const bus = new FaultyBus(seededRandom(seed).fraction);
          await withTestCore(
            async (node) => {
              const reader = await node.live(ann);
              for (const each of bursts) {
                await burst(node, [each, each]);
                await node.settle();
              }
              bus.whole = true;
              await burst(node, [1, 1]);
              await node.settle();
              expect(ids(reader, "user")).toEqual(await stored(node, "user/ann"));
              expect(ids(reader, "tenant")).toEqual(await stored(node, "tenant"));
              expect(reader.badge.total).toBe((await node.unread(ann)).unread.total);
            },
            { bus },
          );
        },
      ),
      { numRuns: 20 },
    );
  }, 60_000);
});

const feedNames = ["user", "tenant", "everyone", "activity"];

interface PageFilter {
  readonly kinds?: Kind[];
  readonly categories?: string[];
}

const filters: readonly PageFilter[] = [
  {},
  {},
  {},
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
}

/** Pages of a few users that come and go while messages are published, recalled and expire, all by one seed. */
class Crowd {
  readonly pages: Opened[] = [];
  readonly published = new Map<string, Published>();
  readonly #node: TestCore;
  readonly #fraction: () => number;
  /** Whether messages are recalled and expire: both make a node count the totals anew, whatever was wrong before. */
  readonly #isForgetful: boolean;
  readonly #calls: Promise<unknown>[] = [];

  constructor(node: TestCore, fraction: () => number) {
    this.#node = node;
    this.#fraction = fraction;
    this.#isForgetful = fraction() < 0.5;
  }

  /** Takes one random step. */
  async step(): Promise<void> {
    const chance = this.#fraction();
    if (chance < 0.45) this.#calls.push(this.#publish());
    else if (chance < 0.6) this.#open();
    else if (chance < 0.68) this.#any(this.pages)?.page.subscription.close();
    else if (chance < 0.76) this.#any(this.pages)?.page.pause();
    else if (chance < 0.84) this.#any(this.pages)?.page.resume();
    else if (chance < 0.88 && this.#isForgetful) this.#calls.push(this.#recall());
    else if (chance < 0.92) this.#any(this.pages)?.page.subscription.beat();
    else if (chance < 0.96) await this.#node.clock.advance(700);
    if (this.#fraction() < 0.6) await ticks(Math.floor(this.#fraction() * 4));
  }

  /** Lets every page take everything, and waits until nothing is left. */
  async settle(): Promise<void> {
    await Promise.all(this.#calls);
    for (const { page } of this.pages) page.resume();
    // A message may expire while the totals are counted, and a page that lags reads one page of history after the other.
    for (let pass = 0; pass < 3; pass++) await this.#node.pass(5000);
  }

  #any<T>(all: readonly T[]): T | undefined {
    return all[Math.floor(this.#fraction() * all.length)];
  }

  #open(): void {
    const user = userOf("acme", `user-${Math.floor(this.#fraction() * 4)}`);
    const filter = this.#any(filters) ?? {};
    const isFromStart = this.#fraction() < 0.5;
    const positions = isFromStart ? feedNames.map((feed) => ({ feed, seq: "0" })) : [];
    const { context } = this.#node.core;
    const subscription = new Subscription(
      context,
      user,
      create(SubscribeRequestSchema, { ...filter, positions }),
      () => {},
    );
    const format = this.#any(pageFormats) as (typeof pageFormats)[number];
    const page = new Page(subscription, format, context.flushQueue);
    if (this.#fraction() < 0.2) page.pause();
    this.pages.push({ user: user.subject, page, filter, isFromStart });
  }

  async #publish(): Promise<void> {
    const count = 1 + Math.floor(this.#fraction() ** 4 * 90);
    const toOne = toUser(`user-${Math.floor(this.#fraction() * 4)}`);
    const audience = this.#any([toTenant, toTenant, toTenant, toOne]) ?? toTenant;
    const drafts = Array.from({ length: count }, (): DraftInit & { kind: Kind; category: string } => ({
      kind: this.#any([Kind.NOTIFICATION, Kind.NOTIFICATION, Kind.EVENT, Kind.ACTIVITY]) as Kind,
      category: this.#any(["a", "b", "c"]) as string,
      ...(this.#isForgetful && this.#fraction() < 0.1 && { ttl: { seconds: 1n } }),
    }));
    const ids = await this.#node.publishMany("acme", audience, count, (index) => drafts[index] as DraftInit);
    ids.forEach((id, index) => {
      const { kind, category, ttl } = drafts[index] as (typeof drafts)[number];
      // An event without a ttl is not stored.
      this.published.set(id, { id, kind, category, isMissable: ttl !== undefined || kind === Kind.EVENT });
    });
  }

  async #recall(): Promise<void> {
    const message = this.#any([...this.published.values()]);
    if (!message) return;
    message.isMissable = true;
    await this.#node.core.recaller.recall("acme", [message.id]);
  }
}

describe("Each page of a crowd", () => {
  test("gets what it asked for once and in order, with right totals, and one page of each user alerts", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 20, max: 150 }), fc.nat(), async (steps, seed) => {
        const { fraction } = seededRandom(seed);
        const wait = () => ticks(Math.floor(fraction() * 3));
        await withTestCore(
          async (node) => {
            const crowd = new Crowd(node, fraction);
            for (let step = 0; step < steps; step++) await crowd.step();
            await crowd.settle();
            for (const { user, page, filter, isFromStart } of crowd.pages) {
              const isOpen = page.events.some(({ case: name }) => name === "caughtUp") && !(await isEnded(page));
              for (const [name, feed] of [
                ["user", `user/${user}`],
                ["tenant", "tenant"],
              ] as const) {
                const order = await stored(node, feed);
                const got = page.messages(name).map(({ id }) => id);
                expect(new Set(got).size).toBe(got.length);
                const kept = got.filter((id) => order.includes(id));
                expect(kept).toEqual(order.filter((id) => kept.includes(id)));
                if (!isOpen) continue;
                const from = isFromStart ? 0 : order.indexOf(kept[0] ?? "");
                const wanted = order.slice(from < 0 ? order.length : from).filter((id) => {
                  const message = crowd.published.get(id) as Published;
                  return !message.isMissable && isWanted(filter, message.kind, message.category);
                });
                expect(kept.filter((id) => !crowd.published.get(id)?.isMissable)).toEqual(wanted);
              }
              if (isOpen) expect(page.total).toBe((await node.unread(userOf("acme", user))).unread.total);
            }
            for (const user of new Set(crowd.pages.map((opened) => opened.user))) {
              const own = crowd.pages.filter((opened) => opened.user === user);
              const messages = own.flatMap(({ page }) => page.messages());
              const alerts = messages.filter(({ alert }) => alert).map(({ id }) => id);
              expect(new Set(alerts).size).toBe(alerts.length);
              // Filters leave more gaps between alerts than are remembered.
              if (own.some(({ filter }) => Object.keys(filter).length > 0)) continue;
              expect(new Set(alerts)).toEqual(
                new Set(messages.filter((each) => mayAlert(user, each)).map(({ id }) => id)),
              );
            }
          },
          {
            heartbeatMs: 20_000,
            async around(_method, call) {
              await wait();
              const answer = await call();
              await wait();
              return answer;
            },
          },
        );
      }),
      { numRuns: 30 },
    );
  }, 120_000);
});

/** Whether the page's stream has ended. */
function isEnded(page: Page): Promise<boolean> {
  return Promise.race([page.ended.then(() => true), ticks(1).then(() => false)]);
}
