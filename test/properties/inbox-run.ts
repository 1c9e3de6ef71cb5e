/** Runs random scripts against a node with several devices, and compares the node with a model. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { expect } from "vitest";
import { Kind, type Message } from "../../gen/tidings/v1/message_pb.ts";
import { RoomMode } from "../../gen/tidings/v1/push_service_pb.ts";
import { seededRandom, ticks } from "../support/clock.ts";
import {
  startTestCore,
  type TestCore,
  type To,
  toEveryone,
  toRoom,
  toTenant,
  toUser,
  toUsers,
  userOf,
} from "../support/core.ts";
import type { Reader } from "../support/reader.ts";
import { joins } from "../support/rooms.ts";
import {
  countByCategory,
  InboxModel,
  live,
  type ModelAudience,
  type ModelMark,
  type ModelMessage,
  roomFeed,
} from "./inbox-model.ts";

const tenants = ["acme", "globex"] as const;
const categories = ["", "system", "admin"] as const;
const day = 86_400_000;

/** The devices and their users. The third device of ann sees one category only, and has not joined the room. */
const owners = [
  { tenant: "acme", user: "ann", only: [], joined: true },
  { tenant: "acme", user: "ann", only: [], joined: true },
  { tenant: "acme", user: "ann", only: ["system"], joined: false },
  { tenant: "acme", user: "bob", only: [], joined: true },
  { tenant: "globex", user: "ann", only: [], joined: true },
] as const;

const device = fc.nat({ max: owners.length - 1 });
const picks = fc.array(fc.nat(), { minLength: 1, maxLength: 4 });
const someCategories = fc.subarray([...categories], { maxLength: 2 });
const audience = fc.constantFrom("ann", "ann", "bob", "both", "room", "room", "tenant", "tenant", "everyone");

const publish = fc.record({
  do: fc.constant("publish" as const),
  tenant: fc.constantFrom(...tenants),
  to: audience,
  kind: fc.constantFrom(Kind.NOTIFICATION, Kind.NOTIFICATION, Kind.NOTIFICATION, Kind.ACTIVITY, Kind.EVENT),
  category: fc.constantFrom(...categories),
  ttl: fc.constantFrom(0, 0, 0, 1000, 5000),
  /** A message under a request_id replaces the one before. */
  requestId: fc.constantFrom("", "", "", "", "r1", "r2"),
});
const mark = fc.record({
  do: fc.constant("mark" as const),
  device,
  form: fc.constantFrom("ids", "all", "categories", "oldest"),
  picks,
  count: fc.integer({ min: 1, max: 4 }),
  categories: someCategories,
  unread: fc.constantFrom(false, false, true),
  /** The feeds whose positions the device gives; none for no limit. */
  upTo: fc.oneof(fc.constant<string[]>([]), fc.subarray(["user", "tenant", "everyone", "activity", roomFeed])),
});
const remove = fc.record({
  do: fc.constant("delete" as const),
  device,
  form: fc.constantFrom("ids", "category", "expired"),
  picks,
  category: fc.constantFrom("system", "admin"),
});

/** A step of a script. */
export const step = fc.oneof(
  { weight: 8, arbitrary: publish },
  { weight: 4, arbitrary: mark },
  { weight: 2, arbitrary: remove },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("recall" as const), picks }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(1, 999, 1000, 5000, 26_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("sleep" as const), days: fc.constantFrom(1, 8) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("disconnect" as const), device }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("connect" as const), device }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("pause" as const), device }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("check" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
type Of<Do extends Step["do"]> = Extract<Step, { do: Do }>;

interface Device {
  readonly tenant: string;
  readonly user: string;
  readonly only: readonly string[];
  readonly joined: boolean;
  reader: Reader | undefined;
  /** Kept from stream to stream, as a client does. */
  readonly positions: Map<string, { epoch: number; seq: string }>;
  /** The seqs at which the first stream started, by feed. */
  start: Map<string, number> | undefined;
  /** How often each message was seen, over all streams. */
  readonly seen: Map<string, number>;
}

/** One run of a script. */
class Run {
  readonly #test: TestCore;
  readonly #model = new InboxModel();
  /** The id of the message under each tenant and request_id. */
  readonly #named = new Map<string, string>();
  readonly #devices: Device[] = owners.map((owner) => ({
    ...owner,
    reader: undefined,
    positions: new Map(),
    start: undefined,
    seen: new Map(),
  }));

  constructor(test: TestCore) {
    this.#test = test;
  }

  async take(next: Step): Promise<void> {
    switch (next.do) {
      case "publish":
        return this.#publish(next);
      case "mark":
        return this.#mark(next);
      case "delete":
        return this.#delete(next);
      case "recall":
        return this.#recall(next);
      case "wait":
        this.#resume();
        return this.#test.pass(next.ms);
      case "sleep":
        this.#resume();
        return this.#test.sleep(next.days * day);
      case "disconnect":
        return this.#disconnect(this.#device(next.device));
      case "connect":
        return this.#connect(this.#device(next.device));
      case "pause":
        return this.#device(next.device).reader?.pause();
      case "check":
        return this.check();
    }
  }

  /** Connects every device, waits until nothing is in flight, and compares everything. */
  async finish(): Promise<void> {
    for (const each of this.#devices) await this.#connect(each);
    await this.check();
    for (const each of this.#devices) await this.#disconnect(each);
  }

  async check(): Promise<void> {
    this.#resume();
    await this.#test.settle();
    for (const each of this.#devices) this.#checkDevice(each);
    for (const [tenant, user] of [
      ["acme", "ann"],
      ["acme", "bob"],
      ["globex", "ann"],
    ] as const) {
      if (this.#model.knows(tenant, user)) await this.#checkLists(tenant, user);
    }
  }

  /** Resumes all readers: if time passed, paused ones would be closed as too slow. */
  #resume(): void {
    for (const { reader } of this.#devices) reader?.resume();
  }

  get #now(): number {
    return this.#test.clock.now();
  }

  async #publish({ tenant, to, kind, category, ttl, requestId }: Of<"publish">): Promise<void> {
    const audiences: Record<string, [To, ModelAudience]> = {
      ann: [toUser("ann"), { users: ["ann"] }],
      bob: [toUser("bob"), { users: ["bob"] }],
      both: [toUsers("bob", "ann", "bob"), { users: ["bob", "ann"] }],
      room: [toRoom("a"), "room"],
      tenant: [toTenant, "tenant"],
      everyone: [toEveryone, "everyone"],
    };
    const [target, modelTarget] = audiences[to] as [To, ModelAudience];
    // An activity has one receiver at most, and goes to the tenant.
    if (kind === Kind.ACTIVITY && (to === "both" || to === "room")) return;
    const draft = { kind, category, ...(ttl > 0 ? { ttl: durationFromMs(ttl) } : {}) };
    const caller = to === "everyone" ? undefined : tenant;
    const rest = requestId === "" ? {} : { requestId, replace: true };
    const { messageId } = await this.#test.publish(caller, target, draft, rest);
    if (requestId !== "") this.#replace(`${caller ?? ""}\n${requestId}`, messageId);
    if (kind === Kind.EVENT && ttl === 0) return;
    const expireTime = ttl > 0 ? this.#now + ttl : Number.POSITIVE_INFINITY;
    this.#model.publish(tenant, modelTarget, { id: messageId, kind, category, publishTime: this.#now, expireTime });
  }

  #replace(key: string, by: string): void {
    const before = this.#model.messages.find(({ id }) => id === this.#named.get(key));
    if (before) before.recalled = true;
    this.#named.set(key, by);
  }

  async #mark({ device, form, picks, count, categories, unread, upTo }: Of<"mark">): Promise<void> {
    const each = this.#device(device);
    const { tenant, user } = each;
    const ids = this.#pick(picks);
    const byCategory = form === "categories" && categories.length === 0 ? ["system"] : categories;
    const given = [...each.positions].filter(([feed]) => upTo.includes(feed));
    const reach = given.length > 0 ? given : undefined;
    const request = {
      categories: byCategory,
      unread,
      upTo: given.map(([feed, position]) => ({ feed, ...position })),
      ...(form === "ids" ? { target: { case: "ids" as const, value: { messageIds: ids } } } : {}),
      ...(form === "all" ? { target: { case: "all" as const, value: true } } : {}),
      ...(form === "oldest" ? { target: { case: "oldest" as const, value: count } } : {}),
    };
    const expected: ModelMark = {
      categories: byCategory,
      unread,
      ...(form === "ids" ? { ids } : {}),
      ...(form === "oldest" ? { oldest: count } : {}),
      ...(reach ? { upTo: new Map(reach.map(([feed, { seq }]) => [feed, Number(seq)])) } : {}),
    };
    const { changed, unread: left } = await this.#test.mark(memberOf(tenant, user), request);
    expect(changed).toBe(this.#model.mark(tenant, user, expected, this.#now));
    expect(left.total).toBe(this.#model.unread(tenant, user, this.#now).length);
  }

  async #delete({ device, form, picks, category }: Of<"delete">): Promise<void> {
    const { tenant, user } = this.#device(device);
    const ids = this.#pick(picks);
    const fits = {
      ids: (message: ModelMessage) => ids.includes(message.id),
      category: (message: ModelMessage) => message.category === category,
      expired: () => false,
    };
    const requests = { ids: { ids: { messageIds: ids } }, category: { category }, expired: { expiredOnly: true } };
    const { changed, unread } = await this.#test.delete(
      memberOf(tenant, user),
      requests[form as keyof typeof requests],
    );
    const gone = this.#model.delete(tenant, user, fits[form as keyof typeof fits], this.#now);
    // Expired messages may be there still, and may be gone.
    expect(changed).toBeGreaterThanOrEqual(gone);
    expect(unread.total).toBe(this.#model.unread(tenant, user, this.#now).length);
  }

  /** Recalls as the backend of acme, which must not touch the messages of others. */
  async #recall({ picks }: Of<"recall">): Promise<void> {
    const ids = this.#pick(picks);
    await this.#test.core.recaller.recall("acme", ids);
    for (const message of this.#model.messages) {
      const ours = [...message.locations.keys()].every((key) => key.split("\n")[0] === "acme");
      if (ours && ids.includes(message.id)) message.recalled = true;
    }
  }

  async #connect(each: Device): Promise<void> {
    if (each.reader) return;
    const { tenant, user, only, positions } = each;
    const given = [...positions].map(([feed, position]) => ({ feed, ...position }));
    const rooms = each.joined ? joins(RoomMode.ANY, "a") : {};
    each.reader = this.#test.subscribe(memberOf(tenant, user), { ...rooms, positions: given, categories: [...only] });
    const known = this.#model.knows(tenant, user);
    this.#model.contact(tenant, user, this.#now);
    // The first contact decides what counts as read, and a stream without positions starts at its Hello.
    if (!known || !each.start) {
      const hello = await each.reader.first("hello");
      each.start ??= new Map(hello.positions.map(({ feed, seq }) => [feed, Number(seq)]));
    }
  }

  async #disconnect(each: Device): Promise<void> {
    const { reader, seen } = each;
    each.reader = undefined;
    await reader?.close();
    for (const [feed, position] of reader?.positions ?? []) each.positions.set(feed, position);
    for (const { id } of reader?.messages ?? []) seen.set(id, (seen.get(id) ?? 0) + 1);
  }

  #checkDevice({ tenant, user, only, joined, reader, seen, start }: Device): void {
    if (!reader) return;
    expect(reader.error, "the stream has ended").toBeUndefined();
    const unread = this.#model.unread(tenant, user, this.#now);
    expect(reader.badge.total, "badge").toBe(unread.length);
    expect(positive(reader.badge.byCategory), "badge by category").toEqual(countByCategory(unread));
    checkOrder(reader);
    const { deleted } = this.#model.contact(tenant, user, this.#now);
    const times = new Map(seen);
    for (const { id } of reader.messages) times.set(id, (times.get(id) ?? 0) + 1);
    for (const message of this.#model.messages) {
      const location = this.#model.locate(message, tenant, user);
      const count = times.get(message.id) ?? 0;
      const shown = location !== undefined && (location.feed !== roomFeed || joined) && passes(only, message);
      const expected = shown && location.seq > (start?.get(location.feed) ?? 0);
      // A device that enters a room also gets the stored events that are still there.
      const stored = shown && location.feed === roomFeed && message.kind === Kind.EVENT;
      expect(count, "seen more than once, or by the wrong user").toBeLessThanOrEqual(expected || stored ? 1 : 0);
      // A message that the user deleted on one device is not sent to another that was away.
      if (expected && live(message, this.#now) && !deleted.has(message.id)) expect(count, "never seen").toBe(1);
    }
  }

  async #checkLists(tenant: string, user: string): Promise<void> {
    const expected = this.#model.unread(tenant, user, this.#now);
    const listed: Message[] = [];
    let pageToken = "";
    do {
      const page = await this.#test.unread(memberOf(tenant, user), { pageSize: 3, pageToken });
      expect(page.unread.total, "total").toBe(expected.length);
      expect(positive(Object.entries(page.unread.byCategory)), "total by category").toEqual(countByCategory(expected));
      listed.push(...page.messages);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(listed.map(({ id }) => id).sort(), "listed").toEqual(expected.map(({ id }) => id).sort());
  }

  /** Ids of messages of any user. */
  #pick(picks: readonly number[]): string[] {
    const { messages } = this.#model;
    return picks.map((pick) => messages[pick % Math.max(1, messages.length)]?.id ?? "no such id");
  }

  #device(index: number): Device {
    return this.#devices[index] as Device;
  }
}

/** A user whose token names the room. */
function memberOf(tenant: string, user: string) {
  return { ...userOf(tenant, user), rooms: ["a"] };
}

function passes(only: readonly string[], { category }: ModelMessage): boolean {
  return only.length === 0 || only.includes(category);
}

function positive(entries: Iterable<[string, number]>): Map<string, number> {
  return new Map([...entries].filter(([, count]) => count > 0));
}

/** Checks one stream: each feed is in order, and no message comes after its recall or deletion. */
function checkOrder(reader: Reader): void {
  const last = new Map<string, number>();
  const gone = new Set<string>();
  for (const event of reader.events) {
    if (event.case === "readState") for (const id of event.value.deletedIds) gone.add(id);
    if (event.case !== "message") continue;
    expect(gone.has(event.value.id), "sent after it was deleted").toBe(false);
    const { feed, seq } = event.value.position ?? { feed: "", seq: "0" };
    if (feed === "") continue;
    expect(Number(seq), "out of order").toBeGreaterThan(last.get(feed) ?? 0);
    last.set(feed, Number(seq));
  }
}

/** Runs a script on a fresh node, whose store answers after random delays of up to `delay` ticks. */
export async function runScript(script: readonly Step[], seed: number, delay: number): Promise<void> {
  const random = seededRandom(seed);
  const wait = () => ticks(Math.floor(random.fraction() * (delay + 1)));
  const test = await startTestCore({
    async around(_method, call) {
      await wait();
      const answer = await call();
      await wait();
      return answer;
    },
  });
  try {
    const run = new Run(test);
    for (const next of script) await run.take(next);
    await run.finish();
  } finally {
    await test.close();
  }
}
