/** Well-formed but invalid requests, with their callers and the errors that refuse them. */
import type { JsonObject } from "@bufbuild/protobuf";
import { roomRows } from "./room-requests.ts";
import { type Cells, type Row, rowsOf } from "./rows.ts";

const invalid = ["InvalidArgument", "FIELD_INVALID"] as const;
const forbiddenRole = ["PermissionDenied", "ROLE_FORBIDDEN"] as const;
const foreignTenant = ["PermissionDenied", "TENANT_FORBIDDEN", "tenant_id"] as const;
const noTenant = ["InvalidArgument", "TENANT_REQUIRED", "tenant_id"] as const;
const badToken = ["InvalidArgument", "PAGE_TOKEN_INVALID", "page_token"] as const;
const badPosition = ["InvalidArgument", "POSITION_INVALID"] as const;

const draft: JsonObject = { kind: "KIND_NOTIFICATION", title: "never to be seen" };
const publish = (rest: JsonObject): JsonObject => ({ audience: { userId: "ann" }, message: draft, ...rest });
const publishDraft = (more: JsonObject): JsonObject => publish({ message: { ...draft, ...more } });
const to = (audience: JsonObject): JsonObject => publish({ audience });
const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `u${index}`);
const nested = (levels: number): JsonObject => (levels === 0 ? {} : { a: nested(levels - 1) });
const altered = (token: string): string => `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`;

const publishRows: readonly Cells[] = [
  ["no audience", { message: draft }, ...invalid, "audience"],
  ["an empty audience", to({}), ...invalid, "audience"],
  ["an empty user id", to({ userId: "" }), ...invalid, "audience.user_id"],
  ["a user id with a line break", to({ userId: "ann\nbob" }), ...invalid, "audience.user_id"],
  ["no users", to({ users: {} }), ...invalid, "audience.users.user_ids"],
  ["10,001 users", to({ users: { userIds: many(10_001) } }), ...invalid, "audience.users.user_ids"],
  ["the tenant, set to false", to({ tenant: false }), ...invalid, "audience.tenant"],
  [
    "everyone, from a service of one tenant",
    to({ everyone: true }),
    "PermissionDenied",
    "AUDIENCE_FORBIDDEN",
    "audience.everyone",
  ],
  ["no message", { audience: { userId: "ann" } }, ...invalid, "message"],
  ["no kind", publishDraft({ kind: "KIND_UNSPECIFIED" }), ...invalid, "message.kind"],
  ["an unknown kind", publishDraft({ kind: 99 }), ...invalid, "message.kind"],
  ["a title of 513 characters", publishDraft({ title: "x".repeat(513) }), ...invalid, "message.title"],
  [
    "a content over 64 KiB",
    publishDraft({ content: "x".repeat(65_537) }),
    "ResourceExhausted",
    "MESSAGE_TOO_LARGE",
    "message",
  ],
  [
    "content and payload over 64 KiB together",
    publishDraft({ content: "x".repeat(40_000), binary: Buffer.alloc(40_000).toString("base64") }),
    "ResourceExhausted",
    "MESSAGE_TOO_LARGE",
    "message",
  ],
  [
    "a JSON payload over 64 KiB",
    publishDraft({ json: ["x".repeat(65_537)] }),
    "ResourceExhausted",
    "MESSAGE_TOO_LARGE",
    "message",
  ],
  ["a JSON payload 33 levels deep", publishDraft({ json: nested(32) }), ...invalid, "message.json"],
  ["a script as the url", publishDraft({ url: "javascript:alert(1)" }), ...invalid, "message.url"],
  [
    "a data URL as the picture",
    publishDraft({ actor: { avatarUrl: "data:text/html,x" } }),
    ...invalid,
    "message.actor.avatar_url",
  ],
  ["an object without a type", publishDraft({ object: { id: "1" } }), ...invalid, "message.object.type"],
  ["a ttl of 0", publishDraft({ ttl: "0s" }), ...invalid, "message.ttl"],
  ["a negative ttl", publishDraft({ ttl: "-1s" }), ...invalid, "message.ttl"],
  ["a ttl over 10 years", publishDraft({ ttl: "315360001s" }), ...invalid, "message.ttl"],
  ["a request id of 129 characters", publish({ requestId: "x".repeat(129) }), ...invalid, "request_id"],
  [
    "a used request id with other content",
    publish({ requestId: "used" }),
    "AlreadyExists",
    "REQUEST_ID_REUSED",
    "request_id",
  ],
  ["another tenant", publish({ tenantId: "rival" }), ...foreignTenant],
];

const subscribeRows: readonly Cells[] = [
  ["an unknown feed", { positions: [{ feed: "nobody" }] }, ...invalid, "positions[0].feed"],
  ["a feed that is not followed", { positions: [{ feed: "room/1", seq: "1" }] }, ...badPosition, "positions[0].feed"],
  [
    "two positions of one feed",
    {
      positions: [
        { feed: "user", seq: "1" },
        { feed: "user", seq: "2" },
      ],
    },
    ...badPosition,
    "positions",
  ],
  ["129 positions", { positions: many(129).map((room) => ({ feed: `room/${room}` })) }, ...invalid, "positions"],
  ["an unknown kind", { kinds: [1, 99] }, ...invalid, "kinds[1]"],
  ["an empty event name", { events: [""] }, ...invalid, "events[0]"],
  ["101 categories", { categories: many(101) }, ...invalid, "categories"],
  ["an instance id of 129 characters", { instanceId: "x".repeat(129) }, ...invalid, "instance_id"],
];

const listRows: readonly Cells[] = [
  ["a page size of -1", { pageSize: -1 }, ...invalid, "page_size"],
  ["a malformed page token", { pageToken: "abc" }, ...badToken],
  ["a page token of 12,289 characters", { pageToken: "x".repeat(12_289) }, ...invalid, "page_token"],
  ["a page token of another user", ({ strangersToken }) => ({ pageToken: strangersToken }), ...badToken],
  ["a category of 65 characters", { categories: ["x".repeat(65)] }, ...invalid, "categories[0]"],
];

const markRows: readonly Cells[] = [
  ["no target", { unread: true }, ...invalid, "target"],
  ["no ids", { ids: {} }, ...invalid, "ids.message_ids"],
  ["1,001 ids", { ids: { messageIds: many(1_001) } }, ...invalid, "ids.message_ids"],
  ["all, set to false", { all: false }, ...invalid, "all"],
  ["the oldest 0", { oldest: 0 }, ...invalid, "oldest"],
  ["the oldest 1,001", { oldest: 1_001 }, ...invalid, "oldest"],
  [
    "an up_to of a feed that is not followed",
    { all: true, upTo: [{ feed: "room/1", seq: "1" }] },
    ...badPosition,
    "up_to[0].feed",
  ],
  [
    "an up_to in the future",
    { all: true, upTo: [{ feed: "user", seq: "999999" }] },
    "InvalidArgument",
    "POSITION_IN_FUTURE",
    "up_to[0]",
  ],
];

const onlineRows: readonly Cells[] = [
  ["no users", { users: {} }, ...invalid, "users.user_ids"],
  ["10,001 users", { users: { userIds: many(10_001) } }, ...invalid, "users.user_ids"],
  ["another tenant", { tenantId: "rival" }, ...foreignTenant],
];

/** The table. A name completes the sentence "Publish refuses …". */
export const rows: readonly Row[] = [
  ...rowsOf("Publish", "service", publishRows),
  ...rowsOf("Publish", "global", [
    ["no tenant, from a service of all tenants", publish({}), ...noTenant],
    [
      "a tenant beside everyone",
      publish({ tenantId: "acme", audience: { everyone: true } }),
      "PermissionDenied",
      "AUDIENCE_FORBIDDEN",
      "audience.everyone",
    ],
  ]),
  ...rowsOf("PublishBatch", "service", [
    ["an empty batch", {}, ...invalid, "requests"],
    ["1,001 requests", { requests: Array(1_001).fill(publish({})) }, ...invalid, "requests"],
  ]),
  ...rowsOf("PublishBatch", "ann", [["a user", { requests: [publish({})] }, ...forbiddenRole]]),
  ...rowsOf("Subscribe", "ann", subscribeRows),
  ...rowsOf("Subscribe", "ann", [
    [
      "a position in the future",
      { positions: [{ feed: "tenant", seq: "999999" }] },
      "InvalidArgument",
      "POSITION_IN_FUTURE",
      "positions[0]",
    ],
    [
      "the highest possible position",
      { positions: [{ feed: "user", seq: "18446744073709551615" }] },
      "InvalidArgument",
      "POSITION_IN_FUTURE",
      "positions[0]",
    ],
  ]),
  ...rowsOf("Subscribe", "service", [
    ["a user's feed, from a service", { positions: [{ feed: "user" }] }, ...badPosition, "positions[0].feed"],
  ]),
  ...rowsOf("ListUnread", "ann", listRows),
  ...rowsOf("ListUnread", "ann", [
    ["a page token of another list", ({ messagesToken }) => ({ pageToken: messagesToken }), ...badToken],
    ["an altered page token", ({ unreadToken }) => ({ pageToken: altered(unreadToken) }), ...badToken],
    [
      "a page token with other filters",
      ({ unreadToken }) => ({ pageToken: unreadToken, categories: ["system"] }),
      ...badToken,
    ],
  ]),
  ...rowsOf("ListUnread", "service", [["a service", {}, ...forbiddenRole]]),
  ...rowsOf("ListMessages", "ann", listRows),
  ...rowsOf("ListMessages", "ann", [
    ["an altered page token", ({ messagesToken }) => ({ pageToken: altered(messagesToken) }), ...badToken],
    ["an unknown kind", { kinds: [99] }, ...invalid, "kinds[0]"],
    ["another tenant", { tenantId: "rival" }, ...foreignTenant],
    ["an object without a type", { object: { id: "1" } }, ...invalid, "object.type"],
  ]),
  ...rowsOf("ListMessages", "global", [["no tenant, from a service of all tenants", {}, ...noTenant]]),
  ...rowsOf("MarkRead", "ann", markRows),
  ...rowsOf("MarkRead", "service", [["a service", { all: true }, ...forbiddenRole]]),
  ...rowsOf("DeleteMessages", "ann", [
    ["an empty request", {}, ...invalid, "ids"],
    ["1,001 ids", { ids: { messageIds: many(1_001) } }, ...invalid, "ids.message_ids"],
    [
      "a recall from a user",
      ({ ids }) => ({ ids: { messageIds: [...ids] }, recall: true }),
      ...forbiddenRole,
      "recall",
    ],
    ["another tenant", { category: "x", tenantId: "rival" }, ...foreignTenant],
  ]),
  ...rowsOf("DeleteMessages", "service", [
    ["a service without recall", ({ ids }) => ({ ids: { messageIds: [...ids] } }), ...invalid, "recall"],
    ["a recall without ids", { recall: true, expiredOnly: true }, ...invalid, "ids"],
    [
      "a recall by category",
      ({ ids }) => ({ ids: { messageIds: [...ids] }, recall: true, category: "x" }),
      ...invalid,
      "category",
    ],
    [
      "another tenant",
      ({ ids }) => ({ ids: { messageIds: [...ids] }, recall: true, tenantId: "rival" }),
      ...foreignTenant,
    ],
  ]),
  ...rowsOf("OnlineCount", "ann", onlineRows),
  ...rowsOf("OnlineCount", "global", [["no tenant, from a service of all tenants", {}, ...noTenant]]),
  ...rowsOf("Disconnect", "service", [
    ["no user id", {}, ...invalid, "user_id"],
    ["a token id of 129 characters", { userId: "ann", tokenId: "x".repeat(129) }, ...invalid, "token_id"],
    ["a reason with a line break", { userId: "ann", reason: "a\nb" }, ...invalid, "reason"],
    ["another tenant", { userId: "ann", tenantId: "rival", blockUntil: "2100-01-01T00:00:00Z" }, ...foreignTenant],
  ]),
  ...rowsOf("Disconnect", "global", [["no tenant, from a service of all tenants", { userId: "ann" }, ...noTenant]]),
  ...rowsOf("Disconnect", "ann", [["a user", { userId: "bob" }, ...forbiddenRole]]),
  ...roomRows,
];
