/** ① Publish: authorise, stamp id and time, store, announce. The request has passed validation. */
import { createHash } from "node:crypto";
import { clone, create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { durationMs, timestampFromMs, type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Draft, Kind, MessageSchema, Scope } from "../gen/tidings/v1/message_pb.ts";
import {
  type PublishRequest,
  PublishRequestSchema,
  type PublishResponse,
  PublishResponseSchema,
  ReceiptSchema,
} from "../gen/tidings/v1/push_service_pb.ts";
import type { Bus, Notice } from "./bus.ts";
import type { Clock } from "./clock.ts";
import { fail } from "./errors.ts";
import { activityFeed, everyoneFeed, type NamedFeed, tenantFeed, tenantOf, userFeed } from "./feeds.ts";
import type { Identity } from "./identity.ts";
import type { Settings } from "./options.ts";
import type { Ports } from "./ports.ts";
import type { OnlineTally, Presence } from "./presence.ts";
import type { Append, Appended, Store } from "./store.ts";

/** How long a request_id of a message that is not kept is remembered. */
const liveKeyMs = 600_000;
const dayMs = 86_400_000;
/**
 * Lists and objects inside each other in a JSON payload. Decoders of Protobuf give up at 100 nested messages; a level
 * takes up to three, and the payload stands in up to four. A deeper message would make every list that holds it unreadable.
 */
const maxJsonDepth = 32;

/** A request made ready: what to store, and whom to tell. */
interface Prepared {
  readonly tenant: string;
  readonly scope: Scope;
  readonly users: readonly string[];
  readonly feeds: readonly NamedFeed[];
  /** Not kept: announced only. */
  readonly live: boolean;
  readonly append: Append;
}

/** Publishes messages. */
export class Publisher {
  readonly #store: Store;
  readonly #bus: Bus;
  readonly #presence: Presence;
  readonly #clock: Clock;
  readonly #newId: () => string;
  readonly #maxMessageBytes: number;
  readonly #retentionMs: number;

  constructor({ store, bus, presence }: Ports, newId: () => string, { clock, maxMessageBytes, retention }: Settings) {
    this.#store = store;
    this.#bus = bus;
    this.#presence = presence;
    this.#clock = clock;
    this.#newId = newId;
    this.#maxMessageBytes = maxMessageBytes;
    this.#retentionMs = retention.days * dayMs;
  }

  /** One outcome per request, in order. A bad request has its error and changes nothing; a store that fails fails all. */
  async publish(caller: Identity, requests: readonly (PublishRequest | Error)[]): Promise<(PublishResponse | Error)[]> {
    const prepared = requests.map((request) => this.#prepare(caller, request));
    const ready = prepared.filter((item): item is Prepared => !(item instanceof Error));
    const toStore = ready.filter(({ live, append }) => !live || append.key !== "");
    const stored = toStore.length === 0 ? [] : await this.#store.append(toStore.map(({ append }) => append));
    const appended = new Map(toStore.map((item, index) => [item, stored[index] as Appended]));
    this.#announce(ready, appended);
    const counts = new Map<string, Promise<OnlineTally>>();
    return Promise.all(
      prepared.map((item) => (item instanceof Error ? item : this.#answer(item, appended.get(item), counts))),
    );
  }

  #prepare(caller: Identity, request: PublishRequest | Error): Prepared | Error {
    if (request instanceof Error) return request;
    try {
      return this.#stamp(caller, request);
    } catch (error) {
      return error as Error;
    }
  }

  #stamp(caller: Identity, request: PublishRequest): Prepared {
    const draft = request.message as Draft;
    const { tenant, scope, users, feeds } = address(caller, request);
    this.#checkSize(draft);
    checkDepth(draft);
    const publishTime = this.#clock.now();
    const ttl = draft.ttl && durationMs(draft.ttl);
    const live = draft.kind === Kind.EVENT && ttl === undefined;
    const id = this.#newId();
    const message = create(MessageSchema, {
      ...toMessage(draft),
      id,
      scope,
      publishTime: timestampFromMs(publishTime),
    });
    if (ttl !== undefined) message.expireTime = timestampFromMs(publishTime + ttl);
    const append: Append = {
      tenant,
      id,
      feeds: live ? [] : feeds.map(({ key }) => key.name),
      body: toBinary(MessageSchema, message),
      key:
        request.requestId === ""
          ? ""
          : `${caller.role === "user" ? `user/${caller.subject}` : "service"}\n${request.requestId}`,
      digest: request.requestId === "" ? "" : digestOf(request),
      kind: draft.kind,
      category: draft.category,
      actorId: draft.actor?.id ?? "",
      objectType: draft.object?.type ?? "",
      objectId: draft.object?.id ?? "",
      batchId: draft.batchId,
      publishTime,
      // Retention by age is an expiry like any other, and so as exact in lists, totals and streams.
      expireTime: publishTime + (live ? liveKeyMs : Math.min(ttl ?? this.#retentionMs, this.#retentionMs)),
    };
    return { tenant, scope, users, feeds, live, append };
  }

  #checkSize({ content, payload }: Draft): void {
    const size = utf8Length(content) + payloadLength(payload);
    if (size <= this.#maxMessageBytes) return;
    const metadata = { limit: String(this.#maxMessageBytes), size: String(size) };
    const sentence = `content and payload have ${size} bytes, and at most ${this.#maxMessageBytes} are allowed; send a url instead`;
    throw fail("MESSAGE_TOO_LARGE", sentence, { field: "message", metadata });
  }

  /** A duplicate is announced by the publish that stored it. */
  #announce(ready: readonly Prepared[], appended: ReadonlyMap<Prepared, Appended>): void {
    const notices: Notice[] = [];
    for (const item of ready) {
      const result = appended.get(item);
      if (result && result.outcome !== "stored") continue;
      const { id, body, expireTime } = item.append;
      item.feeds.forEach(({ key: feed }, index) => {
        if (item.live) notices.push({ type: "live", feed, body });
        else if (result)
          notices.push({
            type: "entry",
            feed,
            epoch: result.epoch,
            seq: result.seqs[index] as number,
            id,
            body,
            expireTime,
          });
      });
    }
    this.#bus.publish(notices);
  }

  async #answer(
    item: Prepared,
    appended: Appended | undefined,
    counts: Map<string, Promise<OnlineTally>>,
  ): Promise<PublishResponse | Error> {
    if (appended?.outcome === "conflict") {
      return fail("REQUEST_ID_REUSED", "the id was used for other content; use a fresh one", { field: "request_id" });
    }
    const { id, publishTime } = appended ?? item.append;
    const connections = item.scope === Scope.USER ? await this.#presence.connections(item.tenant, item.users) : [];
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

  /** Counted once per call, however many messages of a batch ask. */
  #online({ tenant, scope }: Prepared, counts: Map<string, Promise<OnlineTally>>): Promise<OnlineTally> {
    const known = counts.get(tenant) ?? this.#presence.count(scope === Scope.EVERYONE ? undefined : tenant);
    counts.set(tenant, known);
    return known;
  }
}

/** Whom a request addresses, and by which feeds they are reached. */
function address(caller: Identity, { audience, tenantId, message }: PublishRequest): Omit<Prepared, "live" | "append"> {
  const to = audience?.to;
  if (to?.case === "everyone") {
    if (caller.tenant !== undefined || tenantId !== "") {
      const sentence = "only a service that is not bound to a tenant, and names none, may publish to everyone";
      throw fail("AUDIENCE_FORBIDDEN", sentence, { field: "audience.everyone" });
    }
    return { tenant: everyoneFeed.key.tenant, scope: Scope.EVERYONE, users: [], feeds: [everyoneFeed] };
  }
  const tenant = tenantOf(caller, tenantId);
  if (to?.case === "tenant") {
    const feed = message?.kind === Kind.ACTIVITY ? activityFeed(tenant) : tenantFeed(tenant);
    return { tenant, scope: Scope.TENANT, users: [], feeds: [feed] };
  }
  if (to?.case === "roomId") throw fail("NOT_BUILT", "rooms are not served yet", { field: "audience.room_id" });
  const users = to?.case === "userId" ? [to.value] : [...new Set(to?.value?.userIds)];
  return { tenant, scope: Scope.USER, users, feeds: users.map((user) => userFeed(tenant, user)) };
}

/** The fields of a draft that its message repeats. */
function toMessage(draft: Draft): MessageInitShape<typeof MessageSchema> {
  const { kind, category, title, content, url, actor, object, payload, contentType, batchId } = draft;
  const message = {
    kind,
    category,
    title,
    content,
    url,
    payload,
    contentType,
    batchId,
    event: draft.event || "message",
  };
  return { ...message, ...(actor ? { actor } : {}), ...(object ? { object } : {}) };
}

function digestOf(request: PublishRequest): string {
  const content = clone(PublishRequestSchema, request);
  if (content.message?.payload.case === "json") sortFields(content.message.payload.value);
  content.requestId = "";
  // A bound service may name its tenant or not: the same content.
  content.tenantId = "";
  return createHash("sha256").update(toBinary(PublishRequestSchema, content)).digest("base64url");
}

/** Encoders may write the fields of an object in any order, and another with each retry. */
function sortFields({ kind }: Value): void {
  if (kind.case === "listValue") kind.value.values.forEach(sortFields);
  if (kind.case !== "structValue") return;
  const fields = Object.entries(kind.value.fields).sort(([a], [b]) => (a < b ? -1 : 1));
  kind.value.fields = Object.fromEntries(fields);
  for (const [, value] of fields) sortFields(value);
}

function checkDepth({ payload }: Draft): void {
  if (payload.case !== "json" || !isDeeper(payload.value, maxJsonDepth)) return;
  const sentence = `lists and objects may be ${maxJsonDepth} levels deep; send it flatter, or as binary`;
  throw fail("FIELD_INVALID", sentence, { field: "message.json", metadata: { limit: String(maxJsonDepth) } });
}

function isDeeper({ kind }: Value, levels: number): boolean {
  if (kind.case !== "listValue" && kind.case !== "structValue") return false;
  const inner = kind.case === "listValue" ? kind.value.values : Object.values(kind.value.fields);
  return levels === 0 || inner.some((value) => isDeeper(value, levels - 1));
}

function payloadLength(payload: Draft["payload"]): number {
  if (payload.case === "binary") return payload.value.length;
  return payload.case === "json" ? toBinary(ValueSchema, payload.value).length : 0;
}

function utf8Length(text: string): number {
  return Buffer.byteLength(text);
}
