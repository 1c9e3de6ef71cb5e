import type { DescMessage, JsonObject } from "@bufbuild/protobuf";
import {
  BridgeFrameSchema,
  DeleteMessagesRequestSchema,
  DisconnectRequestSchema,
  ListMessagesRequestSchema,
  ListUnreadRequestSchema,
  MarkReadRequestSchema,
  OnlineCountRequestSchema,
  PublishBatchRequestSchema,
  PublishRequestSchema,
  SubscribeRequestSchema,
} from "../../src/gen.ts";
import {
  atMost,
  draft,
  empty,
  id,
  items,
  kinds,
  position,
  publish,
  type Row,
  row,
  text,
  url,
  x,
  xs,
} from "./request-row.ts";

/** The rows of a filter by category. */
function categories(field: string, schema: DescMessage, request: (value: string[]) => JsonObject): Row[] {
  return [
    ...text(field, schema, 64, "categories[1]", (value) => request(["ok", value])),
    row(field, schema, request(xs(101)), "categories", items(100), request(xs(100))),
  ];
}

function kindsRows(field: string, schema: DescMessage): Row[] {
  return [
    row(field, schema, { kinds: [1, 0] }, "kinds[1]", kinds, { kinds: [1, 2, 3] }),
    row(field, schema, { kinds: [99] }, "kinds[0]", kinds, { kinds: [3] }),
    row(field, schema, { kinds: [1, 1, 1, 1] }, "kinds", items(3), { kinds: [1] }),
  ];
}

function page(name: string, schema: DescMessage): Row[] {
  return [
    row(`${name}.page_size`, schema, { pageSize: -1 }, "page_size", "must be at least 0", { pageSize: 2_000_000_000 }),
    row(`${name}.page_token`, schema, { pageToken: x(12289) }, "page_token", atMost(12288), { pageToken: x(12288) }),
  ];
}

const publishRows: Row[] = [
  ...text("PublishRequest.tenant_id", PublishRequestSchema, 128, "tenant_id", (tenantId) => publish({ tenantId })),
  row(
    "PublishRequest.audience",
    PublishRequestSchema,
    { message: { kind: 1 } },
    "audience",
    "must be set",
    publish({}),
  ),
  row(
    "PublishRequest.message",
    PublishRequestSchema,
    { audience: { tenant: true } },
    "message",
    "must be set",
    publish({}),
  ),
  ...text("PublishRequest.request_id", PublishRequestSchema, 128, "request_id", (requestId) => publish({ requestId })),
  row(
    "PublishRequest.replace",
    PublishRequestSchema,
    publish({ replace: true }),
    "request_id",
    "name the message to replace",
    publish({ replace: true, requestId: "r" }),
  ),
  row(
    "Audience.to",
    PublishRequestSchema,
    publish({ audience: {} }),
    "audience",
    "set one of user_id, users, room_id, tenant, everyone",
    publish({ audience: { everyone: true } }),
  ),
  ...id("Audience.user_id", PublishRequestSchema, "audience.user_id", (userId) => publish({ audience: { userId } })),
  ...id(
    "Audience.room_id",
    PublishRequestSchema,
    "audience.room_id",
    (roomId) => publish({ audience: { roomId } }),
    320,
  ),
  ...["tenant", "everyone"].map((name) =>
    row(
      `Audience.${name}`,
      PublishRequestSchema,
      publish({ audience: { [name]: false } }),
      `audience.${name}`,
      "must be true, or not be set",
      publish({ audience: { [name]: true } }),
    ),
  ),
  ...id("UserIds.user_ids", PublishRequestSchema, "audience.users.user_ids[1]", (user) =>
    publish({ audience: { users: { userIds: ["ok", user] } } }),
  ),
  row(
    "UserIds.user_ids",
    PublishRequestSchema,
    publish({ audience: { users: {} } }),
    "audience.users.user_ids",
    empty,
    publish({ audience: { users: { userIds: ["a"] } } }),
  ),
  row(
    "UserIds.user_ids",
    PublishRequestSchema,
    publish({ audience: { users: { userIds: xs(10_001) } } }),
    "audience.users.user_ids",
    items(10_000),
    publish({ audience: { users: { userIds: xs(10_000) } } }),
  ),
  row(
    "PublishBatchRequest.requests",
    PublishBatchRequestSchema,
    { requests: Array.from({ length: 1001 }, () => ({})) },
    "requests",
    items(1000),
    { requests: Array.from({ length: 1000 }, () => ({})) },
  ),
  row("PublishBatchRequest.requests", PublishBatchRequestSchema, {}, "requests", empty, { requests: [publish({})] }),
];

const inDraft = (name: string) => (value: string) => draft({ [name]: value });

const draftRows: Row[] = [
  row("Draft.kind", PublishRequestSchema, draft({ kind: 0 }), "message.kind", kinds, draft({ kind: 2 })),
  row("Draft.kind", PublishRequestSchema, draft({ kind: 4 }), "message.kind", kinds, draft({ kind: 1 })),
  ...text("Draft.category", PublishRequestSchema, 64, "message.category", inDraft("category")),
  row(
    "Draft.title",
    PublishRequestSchema,
    draft({ title: x(513) }),
    "message.title",
    atMost(512),
    draft({ title: x(512) }),
  ),
  row("Draft.url", PublishRequestSchema, draft({ url: "javascript:1" }), "message.url", url, draft({ url: "" })),
  row("Draft.url", PublishRequestSchema, draft({ url: x(2049) }), "message.url", atMost(2048), draft({ url: x(2048) })),
  ...text("Draft.event", PublishRequestSchema, 128, "message.event", inDraft("event")),
  ...text("Draft.content_type", PublishRequestSchema, 128, "message.content_type", inDraft("contentType")),
  ...text("Draft.batch_id", PublishRequestSchema, 128, "message.batch_id", inDraft("batchId")),
  ...["0s", "-1s", "315360001s"].map((ttl) =>
    row(
      "Draft.ttl",
      PublishRequestSchema,
      draft({ ttl }),
      "message.ttl",
      "must be greater than 0s and less than or equal to 315360000s",
      draft({ ttl: ttl === "0s" ? "0.000000001s" : "315360000s" }),
    ),
  ),
  ...text("Actor.id", PublishRequestSchema, 128, "message.actor.id", (value) => draft({ actor: { id: value } })),
  row(
    "Actor.name",
    PublishRequestSchema,
    draft({ actor: { name: x(257) } }),
    "message.actor.name",
    atMost(256),
    draft({ actor: { name: x(256) } }),
  ),
  row(
    "Actor.avatar_url",
    PublishRequestSchema,
    draft({ actor: { avatarUrl: "data:image/png;base64,AA==" } }),
    "message.actor.avatar_url",
    url,
    draft({ actor: { avatarUrl: "/avatars/7.png" } }),
  ),
  row(
    "Actor.avatar_url",
    PublishRequestSchema,
    draft({ actor: { avatarUrl: x(2049) } }),
    "message.actor.avatar_url",
    atMost(2048),
    draft({ actor: {} }),
  ),
  ...id(
    "ObjectRef.type",
    PublishRequestSchema,
    "message.object.type",
    (type) => draft({ object: { type, id: "1" } }),
    64,
  ),
  ...id("ObjectRef.id", PublishRequestSchema, "message.object.id", (value) =>
    draft({ object: { type: "task", id: value } }),
  ),
];

const feedSentence = "must be user, tenant, activity, everyone or room/<id>";

const subscribeRows: Row[] = [
  ...["", "User", "room/", "room/a\nb", "user/7", " user", "xuser", "userx"].map((feed) =>
    row(
      "Position.feed",
      SubscribeRequestSchema,
      position(feed),
      "positions[0].feed",
      feed ? feedSentence : empty,
      position("room/ü b"),
    ),
  ),
  row(
    "Position.feed",
    SubscribeRequestSchema,
    position(`room/${x(321)}`),
    "positions[0].feed",
    atMost(325),
    position(`room/${x(320)}`),
  ),
  row(
    "SubscribeRequest.positions",
    SubscribeRequestSchema,
    { positions: xs(129).map((room) => ({ feed: `room/${room}` })) },
    "positions",
    items(128),
    {
      positions: ["user", "tenant", "activity", "everyone"].map((feed) => ({
        feed,
        epoch: 1,
        seq: "18446744073709551615",
      })),
    },
  ),
  row(
    "SubscribeRequest.rooms",
    SubscribeRequestSchema,
    { rooms: xs(101).map((roomId) => ({ roomId })) },
    "rooms",
    items(100),
    { rooms: xs(100).map((roomId) => ({ roomId })) },
  ),
  ...id("RoomJoin.room_id", SubscribeRequestSchema, "rooms[0].room_id", (roomId) => ({ rooms: [{ roomId }] }), 320),
  row(
    "RoomJoin.mode",
    SubscribeRequestSchema,
    { rooms: [{ roomId: "r", mode: 4 }] },
    "rooms[0].mode",
    "must be one of ROOM_MODE_ANY, ROOM_MODE_FIRST, ROOM_MODE_LAST",
    { rooms: [{ roomId: "r", mode: 0 }] },
  ),
  ...kindsRows("SubscribeRequest.kinds", SubscribeRequestSchema),
  ...categories("SubscribeRequest.categories", SubscribeRequestSchema, (value) => ({ categories: value })),
  ...id("SubscribeRequest.events", SubscribeRequestSchema, "events[0]", (event) => ({ events: [event] })),
  row("SubscribeRequest.events", SubscribeRequestSchema, { events: xs(101) }, "events", items(100), {
    events: xs(100),
  }),
  ...text("SubscribeRequest.instance_id", SubscribeRequestSchema, 128, "instance_id", (instanceId) => ({ instanceId })),
  row("BridgeFrame.token", BridgeFrameSchema, { token: x(8193) }, "token", atMost(8192), { token: x(8192) }),
  row(
    "BridgeFrame.subscribe",
    BridgeFrameSchema,
    { subscribe: position("x") },
    "subscribe.positions[0].feed",
    feedSentence,
    { subscribe: {} },
  ),
  row(
    "BridgeFrame.mark_read",
    BridgeFrameSchema,
    { markRead: {} },
    "mark_read.target",
    "set ids, all or oldest, or name categories",
    { markRead: { all: true } },
  ),
];

const object = (type: string): JsonObject => ({ object: { type, id: "1" } });

const listRows: Row[] = [
  ...categories("ListUnreadRequest.categories", ListUnreadRequestSchema, (value) => ({ categories: value })),
  ...text("ListUnreadRequest.actor_id", ListUnreadRequestSchema, 128, "actor_id", (actorId) => ({ actorId })),
  ...page("ListUnreadRequest", ListUnreadRequestSchema),
  ...text("ListMessagesRequest.tenant_id", ListMessagesRequestSchema, 128, "tenant_id", (tenantId) => ({ tenantId })),
  ...kindsRows("ListMessagesRequest.kinds", ListMessagesRequestSchema),
  ...categories("ListMessagesRequest.categories", ListMessagesRequestSchema, (value) => ({ categories: value })),
  ...text("ListMessagesRequest.actor_id", ListMessagesRequestSchema, 128, "actor_id", (actorId) => ({ actorId })),
  row("ListMessagesRequest.object", ListMessagesRequestSchema, object(""), "object.type", empty, object("task")),
  ...text("ListMessagesRequest.room_id", ListMessagesRequestSchema, 320, "room_id", (roomId) => ({ roomId })),
  ...text("ListMessagesRequest.batch_id", ListMessagesRequestSchema, 128, "batch_id", (batchId) => ({ batchId })),
  ...page("ListMessagesRequest", ListMessagesRequestSchema),
];

const range = "must be greater than or equal to 1 and less than or equal to 1000";

const inboxRows: Row[] = [
  row(
    "MarkReadRequest.target",
    MarkReadRequestSchema,
    { unread: true },
    "target",
    "set ids, all or oldest, or name categories",
    { categories: [""] },
  ),
  ...id("MessageIds.message_ids", MarkReadRequestSchema, "ids.message_ids[0]", (value) => ({
    ids: { messageIds: [value] },
  })),
  row("MessageIds.message_ids", MarkReadRequestSchema, { ids: {} }, "ids.message_ids", empty, {
    ids: { messageIds: ["a"] },
  }),
  row(
    "MessageIds.message_ids",
    MarkReadRequestSchema,
    { ids: { messageIds: xs(1001) } },
    "ids.message_ids",
    items(1000),
    { ids: { messageIds: xs(1000) } },
  ),
  row("MarkReadRequest.all", MarkReadRequestSchema, { all: false }, "all", "must be true, or not be set", {
    all: true,
  }),
  row("MarkReadRequest.oldest", MarkReadRequestSchema, { oldest: 0 }, "oldest", range, { oldest: 1 }),
  row("MarkReadRequest.oldest", MarkReadRequestSchema, { oldest: 1001 }, "oldest", range, { oldest: 1000 }),
  ...categories("MarkReadRequest.categories", MarkReadRequestSchema, (value) => ({ all: true, categories: value })),
  row(
    "MarkReadRequest.up_to",
    MarkReadRequestSchema,
    { all: true, upTo: xs(129).map((room) => ({ feed: `room/${room}` })) },
    "up_to",
    items(128),
    { all: true, upTo: [{ feed: "user", epoch: 1, seq: "7" }] },
  ),
  ...text("DeleteMessagesRequest.tenant_id", DeleteMessagesRequestSchema, 128, "tenant_id", (tenantId) => ({
    tenantId,
    expiredOnly: true,
  })),
  row(
    "DeleteMessagesRequest.ids",
    DeleteMessagesRequestSchema,
    { recall: true },
    "ids",
    "name the messages, a category or a batch_id, or set expired_only",
    { ids: { messageIds: ["a"] } },
  ),
  ...text("DeleteMessagesRequest.category", DeleteMessagesRequestSchema, 64, "category", (category) => ({ category })),
  ...text("DeleteMessagesRequest.batch_id", DeleteMessagesRequestSchema, 128, "batch_id", (batchId) => ({
    ids: { messageIds: ["a"] },
    batchId,
  })),
  ...text("OnlineCountRequest.tenant_id", OnlineCountRequestSchema, 128, "tenant_id", (tenantId) => ({ tenantId })),
  row("OnlineCountRequest.users", OnlineCountRequestSchema, { users: {} }, "users.user_ids", empty, {
    users: { userIds: ["a"] },
  }),
  ...id("OnlineCountRequest.room_id", OnlineCountRequestSchema, "room_id", (roomId) => ({ roomId }), 320),
  ...text("DisconnectRequest.tenant_id", DisconnectRequestSchema, 128, "tenant_id", (tenantId) => ({
    tenantId,
    userId: "u",
  })),
  ...id("DisconnectRequest.user_id", DisconnectRequestSchema, "user_id", (userId) => ({ userId })),
  ...text("DisconnectRequest.reason", DisconnectRequestSchema, 256, "reason", (reason) => ({ userId: "u", reason })),
  ...text("DisconnectRequest.token_id", DisconnectRequestSchema, 128, "token_id", (tokenId) => ({
    userId: "u",
    tokenId,
  })),
];

/** The rows of every rule of every request. */
export const rows: readonly Row[] = [...publishRows, ...draftRows, ...subscribeRows, ...listRows, ...inboxRows];
