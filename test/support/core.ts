/** A whole node without a transport: the embedded store in memory, a fake clock and seeded randomness. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { type Draft, DraftSchema, Kind, type PositionSchema } from "../../gen/tidings/v1/message_pb.ts";
import {
  DeleteMessagesRequestSchema,
  ListMessagesRequestSchema,
  ListUnreadRequestSchema,
  MarkReadRequestSchema,
  PublishRequestSchema,
  type PublishResponse,
  SubscribeRequestSchema,
} from "../../gen/tidings/v1/push_service_pb.ts";
import { MemoryBus } from "../../src/adapters/memory/bus.ts";
import { MemoryPresence } from "../../src/adapters/memory/presence.ts";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import type { Identity, UserIdentity } from "../../src/auth/identity.ts";
import { type Core, startCore } from "../../src/core/core.ts";
import { type Reason, reasonOf } from "../../src/errors.ts";
import { resolveOptions, type TidingsOptions } from "../../src/options.ts";
import type { Bus } from "../../src/ports/bus.ts";
import type { Presence } from "../../src/ports/presence.ts";
import type { RateLimiter } from "../../src/ports/rate-limiter.ts";
import type { Authorize } from "../../src/rooms/access.ts";
import { Subscription } from "../../src/stream/subscription.ts";
import { FakeClock, seededRandom, tick } from "./clock.ts";
import { Reader } from "./reader.ts";
import { type Around, type StoreMethod, tapStore } from "./store-tap.ts";
import { secret } from "./token.ts";

/** Later than every time in the tests, in ms since the Unix epoch. */
const never = 4_000_000_000_000;

/** A user of a tenant. */
export function userOf(tenant: string, subject = "ann", expireTime = never): UserIdentity {
  return {
    subject,
    tenant,
    role: "user",
    expireTime,
    tokenId: "",
    name: "",
    avatarUrl: "",
    rooms: [],
    publish: [],
    takeover: [],
  };
}

/** A service of a tenant, or of all tenants. */
export function serviceOf(tenant?: string): Identity {
  return {
    subject: "backend",
    tenant,
    role: "service",
    expireTime: never,
    tokenId: "",
    name: "",
    avatarUrl: "",
    rooms: [],
    publish: [],
    takeover: [],
  };
}

/** Options of a node under test. */
export interface TestCoreOptions
  extends Partial<Omit<TidingsOptions, "clock" | "data" | "store" | "bus" | "authorize">> {
  readonly clock?: FakeClock;
  readonly bus?: Bus;
  readonly presence?: Presence;
  /** Default: nothing is limited. */
  readonly limiter?: RateLimiter;
  /** The hook that decides about rooms for which tokens have no grant. */
  readonly authorize?: Authorize;
  /** A store that several nodes share, and the last one closes. Default: the node's own, in memory. */
  readonly store?: SqliteStore;
  /** Wraps each call of the store. */
  readonly around?: Around;
}

type PublishInit = MessageInitShape<typeof PublishRequestSchema>;
/** The fields of a draft. */
export type DraftInit = MessageInitShape<typeof DraftSchema>;
/** The fields of MarkRead besides its target. */
interface MarkRest {
  readonly categories?: string[];
  readonly unread?: boolean;
  readonly upTo?: MessageInitShape<typeof PositionSchema>[];
}
/** The audience of a message. */
export type To = NonNullable<NonNullable<PublishInit["audience"]>["to"]>;

/** The audience of one user. */
export function toUser(user: string): To {
  return { case: "userId", value: user };
}
/** The audience of several users. */
export function toUsers(...userIds: string[]): To {
  return { case: "users", value: { userIds } };
}
/** The audience of a room. */
export function toRoom(room: string): To {
  return { case: "roomId", value: room };
}
/** The audience of a tenant. */
export const toTenant: To = { case: "tenant", value: true };
/** The audience of all tenants. */
export const toEveryone: To = { case: "everyone", value: true };

/** A request to publish one message, which is a notification unless the draft says otherwise. */
export function publishRequest(to: To, draft: DraftInit = {}, rest: Omit<PublishInit, "audience" | "message"> = {}) {
  const message: Draft = create(DraftSchema, { kind: Kind.NOTIFICATION, ...draft } as DraftInit);
  return create(PublishRequestSchema, { ...rest, audience: { to }, message } as PublishInit);
}

/** A node under test. */
export class TestCore {
  readonly core: Core;
  readonly clock: FakeClock;
  readonly store: SqliteStore;
  /** The number of calls of the store so far, by method. */
  readonly calls: Map<StoreMethod, number>;
  /** The number of calls of the store in flight. */
  readonly #inFlight: () => number;
  readonly #readers = new Set<Reader>();

  constructor(
    core: Core,
    clock: FakeClock,
    store: SqliteStore,
    calls: Map<StoreMethod, number>,
    inFlight: () => number,
  ) {
    this.core = core;
    this.clock = clock;
    this.store = store;
    this.calls = calls;
    this.#inFlight = inFlight;
  }

  /** How often a method of the store was called. */
  called(method: StoreMethod): number {
    return this.calls.get(method) ?? 0;
  }

  /** Publishes a message as a service of the tenant, or of all tenants. Throws its error. */
  async publish(
    tenant: string | undefined,
    to: To,
    draft: DraftInit = {},
    rest: Omit<PublishInit, "audience" | "message"> = {},
  ) {
    const [outcome] = await this.core.publisher.publish(serviceOf(tenant), [publishRequest(to, draft, rest)]);
    if (outcome instanceof Error) throw outcome;
    return outcome as PublishResponse;
  }

  /** Publishes a message as a user. */
  async say(user: UserIdentity, room: string, draft: DraftInit = {}, rest: { requestId?: string } = {}) {
    const [outcome] = await this.core.publisher.publish(user, [publishRequest(toRoom(room), draft, rest)]);
    if (outcome instanceof Error) throw outcome;
    return outcome as PublishResponse;
  }

  /** Publishes `count` messages in one call, and returns their ids. `each` returns the fields of one of them. */
  async publishMany(
    tenant: string | undefined,
    to: To,
    count: number,
    each: (index: number) => DraftInit = () => ({}),
  ): Promise<string[]> {
    const requests = Array.from({ length: count }, (_, index) => publishRequest(to, each(index)));
    const outcomes = await this.core.publisher.publish(serviceOf(tenant), requests);
    return outcomes.map((outcome) => (outcome as PublishResponse).messageId);
  }

  /** Opens a stream and reads it. */
  subscribe(
    caller: Identity,
    request: MessageInitShape<typeof SubscribeRequestSchema> = {},
    { paused = false, cut = () => {} }: { paused?: boolean; cut?: () => void } = {},
  ): Reader {
    const subscription = new Subscription(this.core.context, caller, create(SubscribeRequestSchema, request), cut);
    const reader = new Reader(subscription, { paused });
    this.#readers.add(reader);
    return reader;
  }

  /** Opens a stream, and waits until it is live. */
  async live(caller: Identity, request: MessageInitShape<typeof SubscribeRequestSchema> = {}): Promise<Reader> {
    const reader = this.subscribe(caller, request);
    await reader.first("caughtUp");
    return reader;
  }

  /** MarkRead. */
  mark(user: UserIdentity, request: MessageInitShape<typeof MarkReadRequestSchema>) {
    return this.core.context.inbox.mark(user, create(MarkReadRequestSchema, request));
  }

  /** MarkRead of ids. */
  markIds(user: UserIdentity, messageIds: string[], rest: MarkRest = {}) {
    return this.mark(user, { ...rest, target: { case: "ids", value: { messageIds } } });
  }

  /** MarkRead of all. */
  markAll(user: UserIdentity, rest: MarkRest = {}) {
    return this.mark(user, { ...rest, target: { case: "all", value: true } });
  }

  /** DeleteMessages of a user. */
  delete(user: UserIdentity, request: MessageInitShape<typeof DeleteMessagesRequestSchema>) {
    return this.core.context.inbox.delete(user, create(DeleteMessagesRequestSchema, request));
  }

  /** ListUnread. */
  unread(user: UserIdentity, request: MessageInitShape<typeof ListUnreadRequestSchema> = {}) {
    return this.core.lists.unread(user, create(ListUnreadRequestSchema, request));
  }

  /** ListMessages. */
  messages(caller: Identity, request: MessageInitShape<typeof ListMessagesRequestSchema> = {}) {
    return this.core.lists.messages(caller, create(ListMessagesRequestSchema, request));
  }

  /** Waits until nothing is in flight, lets time pass, and waits again. */
  async pass(milliseconds: number): Promise<void> {
    await this.settle();
    await this.clock.advance(milliseconds);
    await this.settle();
  }

  /** As `pass`, on a machine that slept meanwhile: every timer that was due fires at the end. */
  async sleep(milliseconds: number): Promise<void> {
    await this.settle();
    this.clock.set(this.clock.now() + milliseconds);
    await this.pass(0);
  }

  /** Waits until the store has answered every call, and gets no more of them. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      await tick();
      if (this.#inFlight() > 0) quiet = -1;
    }
  }

  /** Closes all streams and the node. */
  async close(): Promise<void> {
    await Promise.all([...this.#readers].map((reader) => reader.close()));
    await this.core.close();
  }
}

/** Starts a node. Close it at the end. */
export async function startTestCore(options: TestCoreOptions = {}): Promise<TestCore> {
  const { clock = new FakeClock(), bus = new MemoryBus(), presence = new MemoryPresence(), ...others } = options;
  const { around, authorize, store: shared, ...rest } = others;
  const given = { data: ":memory:", auth: { secret }, random: seededRandom(), ...rest, clock };
  const settings = resolveOptions(given);
  const sqlite = shared ?? new SqliteStore({ folder: ":memory:", keep: settings.retention.count });
  const calls = new Map<StoreMethod, number>();
  let inFlight = 0;
  const store = tapStore(sqlite, async (method, call) => {
    calls.set(method, (calls.get(method) ?? 0) + 1);
    inFlight++;
    try {
      return await (around ? around(method, call) : call());
    } finally {
      inFlight--;
    }
  });
  const core = await startCore({ store, bus, presence, limiter: options.limiter }, () => {}, settings, authorize);
  return new TestCore(core, clock, sqlite, calls, () => inFlight);
}

/** Runs `use` with a node of its own, and closes the node. */
export async function withTestCore(
  use: (node: TestCore) => Promise<void>,
  options: TestCoreOptions = {},
): Promise<void> {
  const node = await startTestCore(options);
  try {
    await use(node);
  } finally {
    await node.close();
  }
}

/** The reason of the error that a call throws or returns. Fails the test if it does neither. */
export async function reasonFrom(call: Promise<unknown> | (() => unknown)): Promise<Reason | undefined> {
  try {
    const value = await (typeof call === "function" ? call() : call);
    if (value instanceof ConnectError) return reasonOf(value);
  } catch (error) {
    if (error instanceof ConnectError) return reasonOf(error);
    throw error;
  }
  throw new Error("expected an error");
}
