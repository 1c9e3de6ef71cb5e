/** The handlers of PushService: they check the request, call the core and translate the result, and do nothing else. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
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
import { identityOf, spanKey } from "./context.ts";
import { transportOf } from "./gate.ts";

/** Implements PushService on a running core. */
export function pushService(core: Core): ServiceImpl<typeof PushService> {
  const { validate, publisher, lists, context: streamContext } = core;
  return {
    async publish(request, context) {
      validate(PublishRequestSchema, request);
      const [outcome] = await publisher.publish(identityOf(context), [request], context.values.get(spanKey));
      if (outcome instanceof Error) throw outcome;
      return outcome as PublishResponse;
    },
    async publishBatch(request, context) {
      validate(PublishBatchRequestSchema, request);
      checkBatchSize(request.requests, streamContext.settings.maxBatchEntries, codecOf(context));
      const checked = await checkAll(core, request.requests);
      const outcomes = await publisher.publish(identityOf(context), checked, context.values.get(spanKey));
      for (const outcome of outcomes) if (outcome instanceof ConnectError) streamContext.counters.failed(outcome);
      return { outcomes: outcomes.map(toOutcome) };
    },
    subscribe: (request, context) => subscribe(core, request, context),
    async listUnread(request, context) {
      validate(ListUnreadRequestSchema, request);
      return lists.unread(userOf(context), request, codecOf(context));
    },
    async listMessages(request, context) {
      validate(ListMessagesRequestSchema, request);
      return lists.messages(identityOf(context), request, codecOf(context));
    },
    async markRead(request, context) {
      validate(MarkReadRequestSchema, request);
      return streamContext.inbox.mark(userOf(context), request);
    },
    async deleteMessages(request, context) {
      validate(DeleteMessagesRequestSchema, request);
      return deleteMessages(core, identityOf(context), request);
    },
    async onlineCount(request, context) {
      validate(OnlineCountRequestSchema, request);
      return onlineCount(core, identityOf(context), request);
    },
  };
}

async function* subscribe(
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
  const subscription = new Subscription(core.context, identityOf(context), request, cut, transportOf(context));
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
  const body = connection?.sink(formatOf(context), core.context.flushQueue);
  const isJson = codecOf(context) === "json";
  for await (const batch of subscription.batches(body)) {
    for (const frame of batch) yield isJson ? frame.jsonResponse : frame.response;
  }
}

/** The format of the stream. Connect, gRPC and gRPC-Web have the same envelope; only codec and encoding differ. */
function formatOf(context: HandlerContext): Enveloped {
  const { responseHeader } = context;
  const encoding = responseHeader.get("connect-content-encoding") ?? responseHeader.get("grpc-encoding");
  return envelopedIn(codecOf(context), encoding ?? undefined);
}

/** The codec of the answer, which is that of the request; a GET has it in its query, and not in a header. */
function codecOf({ responseHeader }: HandlerContext): Codec {
  return /[/+]json\b/.test(responseHeader.get("content-type") ?? "") ? "json" : "proto";
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
function userOf(context: HandlerContext): UserIdentity {
  const identity = identityOf(context);
  if (!isUser(identity)) throw new Error(`${context.method.name} is open to ${identity.role}`);
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
