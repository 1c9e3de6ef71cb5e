/** The handlers of PushService: they check the request, call the core and translate the result, and do nothing else. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError, type HandlerContext } from "@connectrpc/connect";
import {
  type DeleteMessagesRequest,
  DeleteMessagesRequestSchema,
  type DeleteMessagesResponse,
  DeleteMessagesResponseSchema,
  ListMessagesRequestSchema,
  ListUnreadRequestSchema,
  MarkReadRequestSchema,
  type OnlineCountRequest,
  OnlineCountRequestSchema,
  type OnlineCountResponse,
  OnlineCountResponseSchema,
  PublishBatchRequestSchema,
  type PublishOutcome,
  PublishOutcomeSchema,
  type PublishRequest,
  PublishRequestSchema,
  type PublishResponse,
  type PushService,
  type SubscribeRequest,
  SubscribeRequestSchema,
  type SubscribeResponse,
  UserPresenceSchema,
} from "../../gen/tidings/v1/push_service_pb.ts";
import { type Identity, isUser, type UserIdentity } from "../auth/identity.ts";
import type { Core } from "../core/core.ts";
import { codeName, fail, reasonOf } from "../errors.ts";
import { tenantOf } from "../feeds/feed.ts";
import { connectionKey } from "../http/adapter.ts";
import type { Codec } from "../inbox/list-page.ts";
import type { OnlineTotals } from "../ports/presence.ts";
import { checkBatchSize, entriesOf, slices } from "../publish/batch-size.ts";
import { requireRoom } from "../rooms/grants.ts";
import { Subscription } from "../stream/subscription.ts";
import { guard, warn } from "../util/guard.ts";
import { type Enveloped, envelopedIn } from "../wire/formats.ts";
import { type Passage, passageOf } from "./gate.ts";
import type { UnaryService } from "./unary-service.ts";

/** Implements the unary methods of PushService on a running core. */
export function pushService(core: Core): UnaryService<typeof PushService> {
  const { validate, publisher, lists, context } = core;
  return {
    async publish(request, { identity, span }) {
      validate(PublishRequestSchema, request);
      const [outcome] = await publisher.publish(identity, [request], span);
      if (outcome instanceof Error) throw outcome;
      return outcome as PublishResponse;
    },
    async publishBatch(request, { identity, span, codec }) {
      validate(PublishBatchRequestSchema, request);
      checkBatchSize(request.requests, context.settings.maxBatchEntries, codec);
      const checked = await checkAll(core, request.requests);
      const outcomes = await publisher.publish(identity, checked, span);
      for (const outcome of outcomes) if (outcome instanceof ConnectError) context.counters.failed(outcome);
      return { outcomes: outcomes.map(toOutcome) };
    },
    async listUnread(request, call) {
      validate(ListUnreadRequestSchema, request);
      return lists.unread(userOf(call), request, call.codec);
    },
    async listMessages(request, { identity, codec }) {
      validate(ListMessagesRequestSchema, request);
      return lists.messages(identity, request, codec);
    },
    async markRead(request, call) {
      validate(MarkReadRequestSchema, request);
      return context.inbox.mark(userOf(call), request);
    },
    async deleteMessages(request, { identity }) {
      validate(DeleteMessagesRequestSchema, request);
      return deleteMessages(core, identity, request);
    },
    async onlineCount(request, { identity }) {
      validate(OnlineCountRequestSchema, request);
      return onlineCount(core, identity, request);
    },
  };
}

/** Implements Subscribe, as a handler of Connect. */
export async function* subscribe(
  core: Core,
  request: SubscribeRequest,
  context: HandlerContext,
): AsyncGenerator<SubscribeResponse> {
  const { signal } = context;
  // Calls still arrive after the shutdown signal has fired, with a signal that does not fire again.
  signal.throwIfAborted();
  core.validate(SubscribeRequestSchema, request);
  const connection = context.values.get(connectionKey);
  const cut = () => connection?.destroy();
  const { identity, transport, codec } = passageOf(context);
  const subscription = new Subscription(core.context, identity, request, cut, transport);
  // Not in `finally`, which never runs over HTTP/2 when the client resets the stream while a write waits for `drain`.
  const stop = () => {
    // A deadline that has passed is the error of the stream, unless the stream has ended with another error before.
    if (signal.reason instanceof ConnectError) subscription.end(signal.reason);
    subscription.close();
  };
  // An error in a listener of an AbortSignal would end the process.
  signal.addEventListener("abort", () => guard(warn, stop));
  // On our own listener, the handler yields Hello only: Connect writes the headers, errors and the end, and between
  // them the frames that all streams share are written to the body directly.
  const body = connection?.sink(formatOf(context, codec), core.context.flushQueue);
  const isJson = codec === "json";
  for await (const batch of subscription.batches(body)) {
    for (const frame of batch) yield isJson ? frame.jsonResponse : frame.response;
  }
}

/** The format of the stream. Connect, gRPC and gRPC-Web have the same envelope; only codec and encoding differ. */
function formatOf({ responseHeader }: HandlerContext, codec: Codec): Enveloped {
  const encoding = responseHeader.get("connect-content-encoding") ?? responseHeader.get("grpc-encoding");
  return envelopedIn(codec, encoding ?? undefined);
}

async function deleteMessages(
  core: Core,
  caller: Identity,
  request: DeleteMessagesRequest,
): Promise<DeleteMessagesResponse> {
  if (isUser(caller)) {
    if (request.recall) throw fail("ROLE_FORBIDDEN", "only a service may recall messages", { field: "recall" });
    if (request.batchId !== "") throw fail("FIELD_INVALID", "only a service may delete a batch", { field: "batch_id" });
    tenantOf(caller, request.tenantId);
    const { changed, unread } = await core.context.inbox.delete(caller, request);
    return create(DeleteMessagesResponseSchema, { deleted: changed, unread });
  }
  return create(DeleteMessagesResponseSchema, { deleted: await recall(core, caller, request) });
}

/** Recalls the messages with the given ids, or a whole batch, and returns how many; for services. */
async function recall({ recaller }: Core, caller: Identity, request: DeleteMessagesRequest): Promise<number> {
  const { ids, batchId } = request;
  if (!request.recall) {
    const sentence = "a service has no inbox; set it to recall the messages everywhere";
    throw fail("FIELD_INVALID", sentence, { field: "recall" });
  }
  if ((ids === undefined) === (batchId === "")) {
    throw fail("FIELD_INVALID", "name the messages to recall, or a batch_id", { field: "ids" });
  }
  if (request.category !== "" || request.expiredOnly) {
    const field = request.expiredOnly ? "expired_only" : "category";
    throw fail("FIELD_INVALID", "leave it out; a recall is by ids or by batch_id", { field });
  }
  // Messages to everyone belong to no tenant.
  const tenant = caller.tenant === undefined && request.tenantId === "" ? "" : tenantOf(caller, request.tenantId);
  return ids ? recaller.recall(tenant, ids.messageIds) : recaller.recallBatch(tenant, batchId);
}

async function onlineCount(
  core: Core,
  caller: Identity,
  { tenantId, scope }: OnlineCountRequest,
): Promise<OnlineCountResponse> {
  const tenant = tenantOf(caller, tenantId);
  const { presence, settings } = core.context;
  const now = settings.clock.now();
  const respond = (totals: OnlineTotals) =>
    create(OnlineCountResponseSchema, { ...totals, asOfTime: timestampFromMs(totals.asOf ?? now) });
  if (scope.case === "roomId") {
    const room = requireRoom(scope.value, "room_id");
    await core.context.access.check(caller, room, "join", "room_id");
    return respond(await presence.count(tenant, room));
  }
  const all = await presence.count(tenant);
  if (scope.case === undefined) return respond(all);
  const userIds = [...new Set(scope.value.userIds)];
  const open = await presence.connections(tenant, userIds);
  const presences = userIds.map((userId, index) => ({
    userId,
    online: (open[index] ?? 0) > 0,
    connections: open[index] ?? 0,
  }));
  return create(OnlineCountResponseSchema, {
    users: presences.filter(({ online }) => online).length,
    connections: presences.reduce((total, { connections }) => total + connections, 0),
    presences: presences.map((presence) => create(UserPresenceSchema, presence)),
    asOfTime: timestampFromMs(all.asOf ?? now),
  });
}

/** The caller, which is a user: the gate lets only users call the methods that use this. */
function userOf({ identity }: Passage): UserIdentity {
  if (!isUser(identity)) throw new Error(`a method for users is open to ${identity.role}`);
  return identity;
}

/** Checks the requests of a batch one by one. A large batch lets other calls in between. */
async function checkAll(core: Core, requests: readonly PublishRequest[]): Promise<(PublishRequest | Error)[]> {
  const checked: (PublishRequest | Error)[] = [];
  for (const slice of slices(requests, entriesOf)) {
    if (checked.length > 0) await new Promise<void>((resolve) => core.context.settings.defer(resolve));
    for (const request of slice) checked.push(check(core, request, `requests[${checked.length}]`));
  }
  return checked;
}

function check({ validate }: Core, request: PublishRequest, prefix: string): PublishRequest | Error {
  try {
    validate(PublishRequestSchema, request, prefix);
    return request;
  } catch (error) {
    return error as Error;
  }
}

function toOutcome(outcome: PublishResponse | Error): PublishOutcome {
  if (!(outcome instanceof Error)) return create(PublishOutcomeSchema, { result: { case: "ok", value: outcome } });
  if (!(outcome instanceof ConnectError)) throw outcome;
  const error = { code: codeName(outcome.code), reason: reasonOf(outcome) ?? "", message: outcome.rawMessage };
  return create(PublishOutcomeSchema, {
    result: { case: "error", value: { $typeName: "tidings.v1.PublishError", ...error } },
  });
}
