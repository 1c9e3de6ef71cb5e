/** The stamp of a message: its id, its times, its key, and its author where a user publishes. */
import { toBinary } from "@bufbuild/protobuf";
import { durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Draft, Kind, type Message, MessageSchema } from "../../gen/tidings/v1/message_pb.ts";
import type { PublishRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import { type Identity, isUser } from "../auth/identity.ts";
import type { Clock } from "../ports/clock.ts";
import { type Append, keyLifetimeMs } from "../ports/store.ts";
import { joinKey } from "../util/keys.ts";
import type { ResolvedAudience } from "./audience.ts";
import { digestOf, toMessage } from "./draft.ts";

/** A message that is ready to be stored and announced. */
export interface StampedMessage {
  readonly caller: Identity;
  readonly audience: ResolvedAudience;
  /** The message is an event without a ttl: it is announced but not stored. */
  readonly live: boolean;
  readonly append: Append;
}

/** Reports whether a message is announced but not stored: an event without a ttl. */
export function isLive({ kind, ttl }: Draft): boolean {
  return kind === Kind.EVENT && ttl === undefined;
}

/** Stamps messages. */
export class Stamper {
  readonly #newId: () => string;
  readonly #clock: Clock;
  readonly #steadyClock: Clock;
  readonly #retentionMs: number;

  /** `retentionMs` is the longest that a message is kept; `steadyClock` decides which keys are free again. */
  constructor(newId: () => string, clock: Clock, steadyClock: Clock, retentionMs: number) {
    this.#newId = newId;
    this.#clock = clock;
    this.#steadyClock = steadyClock;
    this.#retentionMs = retentionMs;
  }

  /** Makes the message of a request. */
  stamp(caller: Identity, request: PublishRequest, audience: ResolvedAudience): StampedMessage {
    const draft = request.message as Draft;
    const publishTime = this.#clock.now();
    const ttl = draft.ttl && durationMs(draft.ttl);
    const live = isLive(draft);
    const message = this.#message(caller, draft, audience, publishTime, ttl);
    const append: Append = {
      tenant: audience.tenant,
      id: message.id,
      feeds: live ? [] : audience.feeds.map(({ key }) => key.name),
      body: toBinary(MessageSchema, message),
      key: keyOf(caller, request.requestId),
      digest: request.requestId === "" ? "" : digestOf(request),
      keyTime: Math.min(publishTime, this.#steadyClock.now()),
      replace: request.replace,
      kind: draft.kind,
      category: draft.category,
      actorId: message.actor?.id ?? "",
      objectType: draft.object?.type ?? "",
      objectId: draft.object?.id ?? "",
      batchId: draft.batchId,
      publishTime,
      // Retention by age is an expiry like any other, so that lists, totals and streams drop a message at the same moment.
      expireTime: publishTime + (live ? keyLifetimeMs : Math.min(ttl ?? this.#retentionMs, this.#retentionMs)),
    };
    return { caller, audience, live, append };
  }

  #message(
    caller: Identity,
    draft: Draft,
    { scope, room, receiver }: ResolvedAudience,
    publishTime: number,
    ttl: number | undefined,
  ): Message {
    const message = toMessage(draft);
    message.id = this.#newId();
    message.scope = scope;
    message.roomId = room;
    message.receiverId = receiver;
    message.publishTime = timestampFromMs(publishTime);
    if (ttl !== undefined) message.expireTime = timestampFromMs(publishTime + ttl);
    // From the token alone: a user must not pass for somebody else.
    if (isUser(caller)) {
      const { subject: id, name, avatarUrl } = caller;
      message.actor = { $typeName: "tidings.v1.Actor", id, name, avatarUrl };
    }
    return message;
  }
}

/** Returns the idempotency key of a request. Each user has keys apart, and so cannot guess or take those of a backend. */
function keyOf(caller: Identity, requestId: string): string {
  if (requestId === "") return "";
  return joinKey(isUser(caller) ? `user/${caller.subject}` : "service", requestId);
}
