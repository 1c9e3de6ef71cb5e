/** ① Publish: authorise, stamp, store, announce, answer. The request has passed validation. */
import type { ConnectError } from "@connectrpc/connect";
import { type Draft, Kind, Scope } from "../../gen/tidings/v1/message_pb.ts";
import type { PublishRequest, PublishResponse } from "../../gen/tidings/v1/push_service_pb.ts";
import { type Identity, isUser } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import { otherCategories } from "../inbox/category-counts.ts";
import type { ReadStateService } from "../inbox/read-state-service.ts";
import type { Limits } from "../limits/limits.ts";
import type { Quotas } from "../limits/quotas.ts";
import type { Counters } from "../metrics/counters.ts";
import type { Settings } from "../options.ts";
import type { Clock } from "../ports/clock.ts";
import type { Ports } from "../ports/index.ts";
import type { Presence } from "../ports/presence.ts";
import { perFeedMs, type Store } from "../ports/store.ts";
import { type Span, type Tracer, within } from "../ports/tracer.ts";
import type { RoomAccess } from "../rooms/access.ts";
import { Deadline } from "../util/deadline.ts";
import { dayMs } from "../util/durations.ts";
import { all, type MaybePromise } from "../util/maybe-promise.ts";
import type { Defer } from "../wire/flush-queue.ts";
import { Announcer, type Published } from "./announce.ts";
import { Answers } from "./answers.ts";
import { type AudienceRules, type ResolvedAudience, resolveAudience } from "./audience.ts";
import { entriesOf, slices } from "./batch-size.ts";
import { checkDraft } from "./draft.ts";
import { NewRooms } from "./new-rooms.ts";
import { ReservedCategories } from "./reserved-categories.ts";
import { isLive, type StampedMessage, Stamper } from "./stamp.ts";

/** Extra time, in ms, for a single store call that uses up its timeout: its own error names the cause, and should win. */
const deadlineGraceMs = 100;

/** A request with a valid draft. */
interface Sized {
  readonly request: PublishRequest;
  /** Bytes of content and payload. */
  readonly bytes: number;
}

/** A request whose caller may reach its audience. */
interface Authorised extends Sized {
  readonly audience: ResolvedAudience;
}

/** The parts that a publisher uses beside the ports. */
export interface PublisherParts {
  readonly access: RoomAccess;
  readonly states: ReadStateService;
  readonly limits: Limits;
  readonly quotas: Quotas;
  /** StoreInfo.timeoutMs. */
  readonly storeTimeoutMs: number | undefined;
  readonly counters: Counters;
  readonly tracer: Tracer;
  /** Decides which keys of messages are free again. */
  readonly steadyClock: Clock;
}

/** Publishes messages. */
export class Publisher {
  readonly #store: Store;
  readonly #presence: Presence;
  readonly #rules: AudienceRules;
  readonly #states: ReadStateService;
  readonly #limits: Limits;
  readonly #newRooms: NewRooms;
  readonly #quotas: Quotas;
  readonly #storeTimeoutMs: number | undefined;
  readonly #counters: Counters;
  readonly #tracer: Tracer;
  readonly #clock: Clock;
  readonly #defer: Defer;
  readonly #maxMessageBytes: number;
  readonly #stamper: Stamper;
  readonly #announcer: Announcer;

  constructor(
    { store, bus, presence }: Ports,
    { access, states, limits, quotas, storeTimeoutMs, counters, tracer, steadyClock }: PublisherParts,
    newId: () => string,
    { clock, defer, maxMessageBytes, reservedCategories, retention }: Settings,
  ) {
    this.#store = store;
    this.#presence = presence;
    this.#rules = { access, reserved: new ReservedCategories([...reservedCategories, otherCategories]) };
    this.#states = states;
    this.#limits = limits;
    this.#newRooms = new NewRooms(store, limits);
    this.#quotas = quotas;
    this.#storeTimeoutMs = storeTimeoutMs;
    this.#counters = counters;
    this.#tracer = tracer;
    this.#clock = clock;
    this.#defer = defer;
    this.#maxMessageBytes = maxMessageBytes;
    this.#stamper = new Stamper(newId, clock, steadyClock, retention.days * dayMs);
    this.#announcer = new Announcer(store, bus, clock, tracer);
  }

  /**
   * Publishes requests together and returns one outcome for each, in order. A bad request gets its error and changes
   * nothing. When the store fails, the whole call rejects with STORE_UNAVAILABLE although messages may be stored: to
   * publish them again under the same request ids completes whatever is missing. Rejects with RATE_LIMITED, before anything
   * is stored; only for requests to several tenants it is the outcome of those whose tenant is over its limit. `span` is the
   * span of a traced call.
   */
  async publish(
    caller: Identity,
    requests: readonly (PublishRequest | Error)[],
    span?: Span,
  ): Promise<(PublishResponse | Error)[]> {
    // Outside the deadline: the authorize hook, which this may ask, has a timeout of its own.
    const admitted = this.#admit(
      caller,
      requests.map((request) => this.#size(request)),
    );
    const authorising = all(admitted.map((item) => this.#authorise(caller, item)));
    const allowed = authorising instanceof Promise ? await authorising : authorising;
    const authorised = this.#quotas.isOn ? await this.#withinQuotas(allowed) : allowed;
    const published = await this.#inTime(countAllFeeds(authorised), async (checkDeadline) => {
      const outcomes: (Published | Error)[] = [];
      for (const slice of slices(authorised, countFeeds)) {
        // A large batch lets other calls in: into the event loop, and into the queue of the store.
        if (outcomes.length > 0) await new Promise<void>((resolve) => this.#defer(resolve));
        const stamping = all(slice.map((item) => this.#stamp(caller, item)));
        const stamped = stamping instanceof Promise ? await stamping : stamping;
        // The deadline has passed and the caller got STORE_UNAVAILABLE: do not store now.
        checkDeadline();
        outcomes.push(...(await this.#storeAndAnnounce(stamped, span)));
      }
      return outcomes;
    });
    const answers = new Answers(this.#presence);
    return Promise.all(
      published.map((item) => (item instanceof Error ? item : answers.answer(item.message, item.result))),
    );
  }

  /**
   * Runs a publish under one deadline for all of its store calls: while a shared store comes and goes, each of them could
   * take nearly its whole timeout, one after the other. `feeds` is the number of appends to feeds. After a missed deadline
   * the work goes on, since whatever it has stored must be announced; `work` calls `check` right before it stores.
   */
  #inTime<T>(feeds: number, work: (check: () => void) => Promise<T>): Promise<T> {
    // The embedded store is part of this process, and so is never away.
    if (this.#storeTimeoutMs === undefined) return work(() => {});
    const deadline = new Deadline(this.#storeTimeoutMs + deadlineGraceMs + feeds * perFeedMs, tooLate, this.#clock);
    return deadline.race(work(() => deadline.check()));
  }

  #size(request: PublishRequest | Error): Sized | Error {
    if (request instanceof Error) return request;
    try {
      return { request, bytes: checkDraft(request.message as Draft, this.#maxMessageBytes) };
    } catch (error) {
      return error as Error;
    }
  }

  /**
   * Applies the rate limits to valid requests, together for each tenant that they name: the requests to one tenant are let
   * through or refused together.
   */
  #admit(caller: Identity, items: readonly (Sized | Error)[]): readonly (Sized | Error)[] {
    if (!this.#limits.limitsPublishes(caller)) return items;
    const tenants = new Map<string, Sized[]>();
    for (const item of withoutErrors(items)) {
      // What a bound caller says about the tenant is checked later, and does not matter here.
      const tenant = caller.tenant ?? item.request.tenantId;
      const sized = tenants.get(tenant);
      if (sized) sized.push(item);
      else tenants.set(tenant, [item]);
    }
    const refused = new Map<Sized, ConnectError>();
    for (const [tenant, sized] of tenants) {
      const entries = sized.reduce((sum, { request }) => sum + entriesOf(request), 0);
      const bytes = sized.reduce((sum, item) => sum + item.bytes, 0);
      const error = this.#limits.publish(caller, tenant === "" ? undefined : tenant, { entries, bytes });
      if (error && tenants.size === 1) throw error;
      if (error) for (const item of sized) refused.set(item, error);
    }
    return refused.size === 0 ? items : items.map((item) => refused.get(item as Sized) ?? item);
  }

  #authorise(caller: Identity, sized: Sized | Error): MaybePromise<Authorised | Error> {
    if (sized instanceof Error) return sized;
    const { request, bytes } = sized;
    try {
      const audience = resolveAudience(caller, request, this.#rules);
      if (!(audience instanceof Promise)) return { request, bytes, audience };
      return audience.then(
        (resolved) => ({ request, bytes, audience: resolved }),
        (error: Error) => error,
      );
    } catch (error) {
      return error as Error;
    }
  }

  /** Refuses messages that would exceed the quotas of their tenants, one after the other: each counts for the next. */
  async #withinQuotas(items: readonly (Authorised | Error)[]): Promise<(Authorised | Error)[]> {
    const within: (Authorised | Error)[] = [];
    for (const item of items) within.push(await this.#withinQuota(item));
    return within;
  }

  async #withinQuota(item: Authorised | Error): Promise<Authorised | Error> {
    // An event without a ttl is not stored.
    if (item instanceof Error || isLive(item.request.message as Draft)) return item;
    const { tenant, scope, feeds } = item.audience;
    // A message to everyone is no tenant's.
    if (scope === Scope.EVERYONE) return item;
    return (await this.#quotas.admit({ tenant, bytes: item.bytes, feeds: feeds.map(({ key }) => key) })) ?? item;
  }

  #stamp(caller: Identity, authorised: Authorised | Error): MaybePromise<StampedMessage | Error> {
    if (authorised instanceof Error) return authorised;
    const { request, audience } = authorised;
    const stamp = () => this.#stamper.stamp(caller, request, audience);
    try {
      // Most messages are those of services to users, which need no preparation.
      if (!isUser(caller) && audience.members.length === 0) return stamp();
    } catch (error) {
      return error as Error;
    }
    return this.#prepare(caller, authorised)
      .then(stamp)
      .catch((error: Error) => error);
  }

  async #prepare(caller: Identity, { request, audience }: Authorised): Promise<void> {
    if (isUser(caller) && !isLive(request.message as Draft)) await this.#newRooms.check(caller, audience.room);
    // Enroll members before appending; a later enrolment could start behind this message.
    for (const user of audience.members) await this.#enroll(caller, audience, user);
  }

  async #enroll(caller: Identity, { tenant, room }: ResolvedAudience, user: string): Promise<void> {
    const enroller = !isUser(caller) ? "service" : user === caller.subject ? "owner" : "stranger";
    const [refused] = await this.#states.enroll(tenant, user, [room], enroller);
    if (refused === undefined) return;
    const sentence = "the inbox of one of the two holds too many rooms with unread messages; one has to be read first";
    throw fail("TOO_MANY_ROOMS", sentence, { field: "audience.room_id" });
  }

  /** Stores messages, and announces the stored ones at once, whether or not the caller still waits. */
  async #storeAndAnnounce(
    stamped: readonly (StampedMessage | Error)[],
    span: Span | undefined,
  ): Promise<readonly (Published | Error)[]> {
    const outcomes = await this.#append(stamped, span);
    const published = withoutErrors(outcomes);
    this.#announcer.announce(published, span);
    for (const each of published) this.#count(each);
    if (published.some(isIncomplete)) {
      await this.#markOwn(published);
      await Promise.all(published.map((each) => this.#completeDuplicate(each)));
    }
    return outcomes;
  }

  /** Appends all messages by one call of the store; errors keep their index. */
  async #append(stamped: readonly (StampedMessage | Error)[], span: Span | undefined): Promise<(Published | Error)[]> {
    const toStore = withoutErrors(stamped).filter(needsStore);
    const appends = toStore.map(({ append }) => append);
    const attributes = { "tidings.messages": appends.length };
    const store = () => this.#store.append(appends);
    const results = appends.length === 0 ? [] : await within(this.#tracer, span, "append", attributes, store);
    let next = 0;
    return stamped.map((message) => {
      if (message instanceof Error) return message;
      return { message, result: needsStore(message) ? results[next++] : undefined };
    });
  }

  #count({ message: { live, append, audience }, result }: Published): void {
    const outcome = result && !(live && result.outcome === "stored") ? result.outcome : "live";
    this.#counters.published(append.kind, audience.scope, audience.users.length, outcome);
  }

  /** Marks users' own notifications as read by their authors. */
  async #markOwn(published: readonly Published[]): Promise<void> {
    for (const { message, result } of published) {
      const { caller, audience, append } = message;
      if (!isUser(caller) || result?.outcome !== "stored" || append.kind !== Kind.NOTIFICATION) continue;
      await this.#states.markOwn(caller, audience.room, result.seqs[0] as number, append.id);
    }
  }

  /**
   * Announces a duplicate and marks it as read by its author: the publish that stored it may have failed before it did so.
   * A duplicate is answered only afterwards, so that every publish that succeeds is complete.
   */
  async #completeDuplicate({ message, result }: Published): Promise<void> {
    const { live, caller, audience, append } = message;
    if (live || result?.outcome !== "duplicate") return;
    const feeds = audience.feeds.map(({ key }) => key);
    const [location] = await this.#announcer.announceAgain(feeds, result.id);
    if (location && isUser(caller) && append.kind === Kind.NOTIFICATION) {
      await this.#states.markOwn(caller, audience.room, location.seq, result.id);
    }
  }
}

/** An event without a ttl is stored only for its key, so that a retry is recognised. */
function needsStore({ live, append }: StampedMessage): boolean {
  return !live || append.key !== "";
}

/** Reports whether a message may have to be marked as read by its author, or announced again. */
function isIncomplete({ message: { caller }, result }: Published): boolean {
  return isUser(caller) || result?.outcome === "duplicate";
}

function withoutErrors<T>(items: readonly (T | Error)[]): T[] {
  return items.filter((item): item is T => !(item instanceof Error));
}

function countFeeds(item: Authorised | Error): number {
  return item instanceof Error ? 0 : item.audience.feeds.length;
}

function countAllFeeds(authorised: readonly (Authorised | Error)[]): number {
  return authorised.reduce((sum, item) => sum + countFeeds(item), 0);
}

function tooLate(): Error {
  const cause = new Error("the calls of the store together exceeded the deadline of the publish");
  return fail("STORE_UNAVAILABLE", "the store did not answer in time; repeat the request", {
    cause,
    retryAfterMs: 1000,
  });
}
