/** ① Publish: authorise, stamp id and time, store, announce. The request has passed validation. */

import { create, toBinary } from "@bufbuild/protobuf";
import { durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Draft, Kind, MessageSchema, Scope } from "../../gen/tidings/v1/message_pb.ts";
import {
  type PublishRequest,
  type PublishResponse,
  PublishResponseSchema,
  ReceiptSchema,
} from "../../gen/tidings/v1/push_service_pb.ts";
import { type Identity, isUser } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import type { ReadStateService } from "../inbox/read-state-service.ts";
import type { Counters } from "../metrics/counters.ts";
import type { Settings } from "../options.ts";
import type { Bus, Notice } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import type { Ports } from "../ports/index.ts";
import type { OnlineTotals, Presence } from "../ports/presence.ts";
import { type Append, type AppendResult, keyLifetimeMs, perFeedMs, type Store } from "../ports/store.ts";
import { type Span, type Tracer, within } from "../ports/tracer.ts";
import type { RoomAccess } from "../rooms/access.ts";
import { Deadline } from "../util/deadline.ts";
import { dayMs } from "../util/durations.ts";
import { joinKey, tenantKey } from "../util/keys.ts";
import { Announcer } from "./announce.ts";
import { type Address, address } from "./audience.ts";
import { checkDraft, digestOf, toMessage } from "./draft.ts";
import { recallNotices } from "./recall.ts";

/** The store's own error knows more of its cause: where one call takes all the time, that error comes first. In ms. */
const deadlineGraceMs = 100;

/** A request whose caller may reach whom it is for. */
interface Addressed {
  readonly request: PublishRequest;
  readonly to: Address;
}

/** A request made ready: what to store, and whom to tell. */
interface Prepared extends Address {
  readonly caller: Identity;
  /** Not kept: announced only. */
  readonly live: boolean;
  readonly append: Append;
}

/** What a publisher uses beside the ports. */
export interface PublisherParts {
  readonly access: RoomAccess;
  readonly states: ReadStateService;
  /** StoreInfo.timeoutMs. */
  readonly storeTimeoutMs: number | undefined;
  readonly counters: Counters;
  readonly tracer: Tracer;
}

/** Publishes messages. */
export class Publisher {
  readonly #store: Store;
  readonly #bus: Bus;
  readonly #presence: Presence;
  readonly #access: RoomAccess;
  readonly #states: ReadStateService;
  readonly #storeTimeoutMs: number | undefined;
  readonly #counters: Counters;
  readonly #tracer: Tracer;
  readonly #clock: Clock;
  readonly #reminder: Announcer;
  readonly #newId: () => string;
  readonly #maxMessageBytes: number;
  readonly #retentionMs: number;

  constructor(
    { store, bus, presence }: Ports,
    { access, states, storeTimeoutMs, counters, tracer }: PublisherParts,
    newId: () => string,
    { clock, maxMessageBytes, retention }: Settings,
  ) {
    this.#store = store;
    this.#bus = bus;
    this.#presence = presence;
    this.#access = access;
    this.#states = states;
    this.#storeTimeoutMs = storeTimeoutMs;
    this.#counters = counters;
    this.#tracer = tracer;
    this.#clock = clock;
    this.#reminder = new Announcer(store, bus, clock);
    this.#newId = newId;
    this.#maxMessageBytes = maxMessageBytes;
    this.#retentionMs = retention.days * dayMs;
  }

  /**
   * One outcome per request, in order. A bad request has its error and changes nothing; a store that fails fails all,
   * with STORE_UNAVAILABLE: a message may be stored then, and who publishes it again under its request id is answered when
   * all is done. `span`: of the call, where it is traced.
   */
  async publish(
    caller: Identity,
    requests: readonly (PublishRequest | Error)[],
    span?: Span,
  ): Promise<(PublishResponse | Error)[]> {
    // Who else is asked whether the caller may publish has a time of its own.
    const addressed = await Promise.all(requests.map((request) => this.#address(caller, request)));
    const places = addressed.reduce((sum, item) => sum + (item instanceof Error ? 0 : item.to.feeds.length), 0);
    const { prepared, appended } = await this.#inTime(places, async (check) => {
      const prepared = await Promise.all(addressed.map((item) => this.#prepare(caller, item)));
      // The deadline has passed and the caller got STORE_UNAVAILABLE: do not store now.
      check();
      return { prepared, appended: await this.#keep(prepared, span) };
    });
    const counts = new Map<string, Promise<OnlineTotals>>();
    return Promise.all(
      prepared.map((item) => (item instanceof Error ? item : this.#answer(item, appended.get(item), counts))),
    );
  }

  /**
   * Runs a publish under one deadline for all of its store calls: each of them may take nearly all of its own time, one
   * after the other, while a shared store comes and goes. `feeds`: of all its messages together. When the deadline is
   * missed, the work goes on, since what it has stored must be announced; before it stores anything, it calls `check`.
   */
  #inTime<T>(feeds: number, work: (check: () => void) => Promise<T>): Promise<T> {
    // The embedded store is a part of this process, and so is never away.
    if (this.#storeTimeoutMs === undefined) return work(() => {});
    const deadline = new Deadline(this.#storeTimeoutMs + deadlineGraceMs + feeds * perFeedMs, tooLate, this.#clock);
    return deadline.race(work(() => deadline.check()));
  }

  /** Stores, and announces what is stored at once, whether the caller still waits or not. */
  async #keep(prepared: readonly (Prepared | Error)[], span: Span | undefined) {
    const ready = prepared.filter((item): item is Prepared => !(item instanceof Error));
    const toStore = ready.filter(({ live, append }) => !live || append.key !== "");
    const appended = await this.#append(toStore, span);
    this.#announce(ready, appended, span);
    this.#count(ready, appended);
    await this.#markOwn(ready, appended);
    await Promise.all(ready.map((item) => this.#repeat(item, appended.get(item))));
    return appended;
  }

  async #append(items: readonly Prepared[], span: Span | undefined): Promise<ReadonlyMap<Prepared, AppendResult>> {
    if (items.length === 0) return new Map();
    const stored = await within(this.#tracer, span, "append", { "tidings.messages": items.length }, () =>
      this.#store.append(items.map(({ append }) => append)),
    );
    return new Map(items.map((item, index) => [item, stored[index] as AppendResult]));
  }

  #count(ready: readonly Prepared[], appended: ReadonlyMap<Prepared, AppendResult>): void {
    for (const item of ready) {
      const outcome = appended.get(item)?.outcome ?? "live";
      const { append, scope, users } = item;
      this.#counters.published(append.kind, scope, users.length, item.live && outcome === "stored" ? "live" : outcome);
    }
  }

  async #address(caller: Identity, request: PublishRequest | Error): Promise<Addressed | Error> {
    if (request instanceof Error) return request;
    try {
      checkDraft(request.message as Draft, this.#maxMessageBytes);
      return { request, to: await address(caller, request, this.#access) };
    } catch (error) {
      return error as Error;
    }
  }

  async #prepare(caller: Identity, addressed: Addressed | Error): Promise<Prepared | Error> {
    if (addressed instanceof Error) return addressed;
    const { request, to } = addressed;
    try {
      // Before the message is there: who is enrolled after it might miss it.
      for (const user of to.members) await this.#enroll(to, user);
      return this.#stamp(caller, request, to);
    } catch (error) {
      return error as Error;
    }
  }

  async #enroll({ tenant, room }: Address, user: string): Promise<void> {
    const [refused] = await this.#states.enroll(tenant, user, [room]);
    if (refused === undefined) return;
    const sentence = "the inbox of one of the two holds too many rooms with unread messages; one has to be read first";
    throw fail("TOO_MANY_ROOMS", sentence, { field: "audience.room_id" });
  }

  #stamp(caller: Identity, request: PublishRequest, to: Address): Prepared {
    const draft = request.message as Draft;
    const publishTime = this.#clock.now();
    const ttl = draft.ttl && durationMs(draft.ttl);
    const live = draft.kind === Kind.EVENT && ttl === undefined;
    const id = this.#newId();
    const message = create(MessageSchema, {
      ...toMessage(draft),
      id,
      scope: to.scope,
      roomId: to.room,
      receiverId: to.receiver,
      publishTime: timestampFromMs(publishTime),
    });
    if (isUser(caller))
      message.actor = { name: "", avatarUrl: "", ...draft.actor, $typeName: "tidings.v1.Actor", id: caller.subject };
    if (ttl !== undefined) message.expireTime = timestampFromMs(publishTime + ttl);
    const append: Append = {
      tenant: to.tenant,
      id,
      feeds: live ? [] : to.feeds.map(({ key }) => key.name),
      body: toBinary(MessageSchema, message),
      key: keyOf(caller, request.requestId),
      digest: request.requestId === "" ? "" : digestOf(request),
      replace: request.replace,
      kind: draft.kind,
      category: draft.category,
      actorId: message.actor?.id ?? "",
      objectType: draft.object?.type ?? "",
      objectId: draft.object?.id ?? "",
      batchId: draft.batchId,
      publishTime,
      // Retention by age is an expiry like any other, and so as exact in lists, totals and streams.
      expireTime: publishTime + (live ? keyLifetimeMs : Math.min(ttl ?? this.#retentionMs, this.#retentionMs)),
    };
    return { ...to, caller, live, append };
  }

  #announce(ready: readonly Prepared[], appended: ReadonlyMap<Prepared, AppendResult>, parent: Span | undefined): void {
    const notices: Notice[] = [];
    const span = parent && this.#tracer.start({ name: "announce", kind: "producer", parent: parent.context });
    const traced = span ? { trace: span.context } : {};
    for (const item of ready) {
      const result = appended.get(item);
      if (result && result.outcome !== "stored") continue;
      if (result?.replaced) notices.push(...recallNotices(result.replaced));
      const { id, body, expireTime } = item.append;
      item.feeds.forEach(({ key: feed }, index) => {
        if (item.live) notices.push({ type: "live", feed, body, ...traced });
        else if (result)
          notices.push({
            type: "entry",
            feed,
            epoch: result.epoch,
            seq: result.seqs[index] as number,
            id,
            body,
            expireTime,
            ...traced,
          });
      });
    }
    this.#bus.publish(notices);
    span?.end({ "tidings.notices": notices.length });
  }

  /** What users say themselves is not unread for them. */
  async #markOwn(ready: readonly Prepared[], appended: ReadonlyMap<Prepared, AppendResult>): Promise<void> {
    for (const item of ready) {
      const result = appended.get(item);
      if (!isUser(item.caller) || result?.outcome !== "stored" || item.append.kind !== Kind.NOTIFICATION) continue;
      await this.#states.markOwn(item.caller, item.room, result.seqs[0] as number, item.append.id);
    }
  }

  /** A duplicate is answered once everything is done that the publish which stored it had to do, and perhaps could not. */
  async #repeat(
    { live, feeds, caller, room, append: { kind } }: Prepared,
    result: AppendResult | undefined,
  ): Promise<void> {
    if (live || result?.outcome !== "duplicate") return;
    const [place] = await this.#reminder.remind(
      feeds.map(({ key }) => key),
      result.id,
    );
    if (place && isUser(caller) && kind === Kind.NOTIFICATION) {
      await this.#states.markOwn(caller, room, place.seq, result.id);
    }
  }

  async #answer(
    item: Prepared,
    appended: AppendResult | undefined,
    counts: Map<string, Promise<OnlineTotals>>,
  ): Promise<PublishResponse | Error> {
    if (appended?.outcome === "conflict") {
      return fail("REQUEST_ID_REUSED", "the id was used for other content; use a fresh one", { field: "request_id" });
    }
    const { id, publishTime } = appended ?? item.append;
    const connections = await this.#open(item);
    return create(PublishResponseSchema, {
      messageId: id,
      publishTime: timestampFromMs(publishTime),
      duplicate: appended?.outcome === "duplicate",
      receipts: item.users.map((userId, index) => {
        const open = connections[index] ?? 0;
        return create(ReceiptSchema, { userId, stored: !item.live, online: open > 0, connections: open });
      }),
      onlineUsers: item.scope === Scope.USER ? 0 : (await this.#online(item, counts)).users,
    });
  }

  /** Open streams of those who are named. The message is stored: who cannot be counted must not make the publish fail. */
  async #open({ tenant, users }: Prepared): Promise<readonly number[]> {
    return users.length === 0 ? [] : this.#presence.connections(tenant, users).catch(() => []);
  }

  /** Counted once per call, however many messages of a batch ask. */
  #online({ tenant, scope, room }: Prepared, counts: Map<string, Promise<OnlineTotals>>): Promise<OnlineTotals> {
    const key = tenantKey(tenant, room ?? "");
    const asked = scope === Scope.EVERYONE ? undefined : tenant;
    const count = () => this.#presence.count(asked, ...(scope === Scope.ROOM ? [room] : []));
    const known = counts.get(key) ?? count().catch(() => ({ users: 0, connections: 0 }));
    counts.set(key, known);
    return known;
  }
}

/** Users' request ids are their own, so that they cannot guess or take a backend's. */
function keyOf(caller: Identity, requestId: string): string {
  if (requestId === "") return "";
  return joinKey(isUser(caller) ? `user/${caller.subject}` : "service", requestId);
}

function tooLate(): Error {
  const cause = new Error("the store answered some calls, and together they took too long");
  return fail("STORE_UNAVAILABLE", "the store did not answer in time; repeat the request", {
    cause,
    retryAfterMs: 1000,
  });
}
