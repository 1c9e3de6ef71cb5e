/** Well-formed but invalid requests about rooms and batches: rows of the table in requests.ts. */
import type { JsonObject } from "@bufbuild/protobuf";
import { type Cells, type Row, rowsOf } from "./rows.ts";

const invalid = ["InvalidArgument", "FIELD_INVALID"] as const;
const forbiddenRoom = ["PermissionDenied", "ROOM_FORBIDDEN"] as const;
const forbiddenAudience = ["PermissionDenied", "AUDIENCE_FORBIDDEN"] as const;

/** Room ids that are invalid for every caller. */
const badRooms: readonly (readonly [name: string, room: string])[] = [
  ["an empty room id", ""],
  ["a room id of 321 characters", "x".repeat(321)],
  ["a room id with a line break", "lob\nby"],
  ["a room id with DEL", "lobby\u007f"],
  ["a direct room of one", "dm/ann"],
  ["a direct room of three", "dm/ann/bob/eve"],
  ["a direct room with an empty first id", "dm//bob"],
  ["a direct room with an empty second id", "dm/ann/"],
  ["a direct room whose escaped id has over 320 characters", `dm/ann/${"%".repeat(110)}`],
];

function badRoomRows(field: string, request: (room: string) => JsonObject): Cells[] {
  return badRooms.map(([name, room]) => [name, request(room), ...invalid, field]);
}

const draft: JsonObject = { kind: "KIND_NOTIFICATION", title: "never to be seen" };
const toRoom = (roomId: string, more: JsonObject = {}): JsonObject => ({
  audience: { roomId },
  message: { ...draft, ...more },
});
const to = (audience: JsonObject, more: JsonObject = {}): JsonObject => ({ audience, message: { ...draft, ...more } });
const enter = (...rooms: JsonObject[]): JsonObject => ({ rooms });
const first = { mode: "ROOM_MODE_FIRST" };
const last = { mode: "ROOM_MODE_LAST" };
const activity = { kind: "KIND_ACTIVITY" };

const speakingRows: readonly Cells[] = [
  ["a message from a user to a user", to({ userId: "bob" }), ...forbiddenAudience, "audience"],
  ["a message from a user to users", to({ users: { userIds: ["bob"] } }), ...forbiddenAudience, "audience"],
  ["a message from a user to the tenant", to({ tenant: true }), ...forbiddenAudience, "audience"],
  ["a message from a user to everyone", to({ everyone: true }), ...forbiddenAudience, "audience"],
  ["a room that the user may not publish to", toRoom("lobby"), ...forbiddenRoom, "audience.room_id"],
  ["a direct room of other users", toRoom("dm/bob/eve"), ...forbiddenRoom, "audience.room_id"],
  [
    "a direct room of an id that only begins like the caller's",
    toRoom("dm/an/nbob"),
    ...forbiddenRoom,
    "audience.room_id",
  ],
  ["another actor", toRoom("dm/ann/bob", { actor: { id: "bob" } }), ...forbiddenAudience, "message.actor.id"],
  [
    "a category of services, in disguise",
    toRoom("dm/ann/bob", { category: "Sys\u200btem " }),
    "PermissionDenied",
    "CATEGORY_RESERVED",
    "message.category",
  ],
  ["a batch id, from a user", toRoom("dm/ann/bob", { batchId: "b" }), ...invalid, "message.batch_id"],
  ["an activity in a direct room", toRoom("dm/ann/bob", activity), ...invalid, "message.kind"],
  [
    "another tenant's room",
    { ...toRoom("dm/ann/bob"), tenantId: "rival" },
    "PermissionDenied",
    "TENANT_FORBIDDEN",
    "tenant_id",
  ],
];

const enteringRows: readonly Cells[] = [
  ["101 rooms", enter(...Array.from({ length: 101 }, (_, index) => ({ roomId: `r${index}` }))), ...invalid, "rooms"],
  [
    "one room both by LAST and by FIRST",
    enter({ roomId: "lobby", ...last }, { roomId: "lobby", ...first }),
    ...invalid,
    "rooms[1].room_id",
  ],
  [
    "one room twice in the same mode",
    enter({ roomId: "a" }, { roomId: "lobby" }, { roomId: "a" }),
    ...invalid,
    "rooms[2].room_id",
  ],
  [
    "a direct room in both orders",
    enter({ roomId: "dm/ann/bob" }, { roomId: "dm/bob/ann" }),
    ...invalid,
    "rooms[1].room_id",
  ],
  ["an unknown mode", enter({ roomId: "lobby", mode: 99 }), ...invalid, "rooms[0].mode"],
  [
    "a position in a room that the request does not name",
    { ...enter({ roomId: "lobby" }), positions: [{ feed: "room/other", seq: "1" }] },
    "InvalidArgument",
    "POSITION_INVALID",
    "positions[0].feed",
  ],
];

/** The filters that a list of a batch must leave out. */
const batchFilters: Readonly<Record<string, JsonObject>> = {
  kinds: { kinds: ["KIND_EVENT"] },
  categories: { categories: ["system"] },
  actor_id: { actorId: "ann" },
  object: { object: { type: "task", id: "1" } },
  room_id: { roomId: "lobby" },
  start_time: { startTime: "2026-01-01T00:00:00Z" },
  end_time: { endTime: "2026-01-01T00:00:00Z" },
};

const batchRows: readonly Cells[] = [
  ...Object.entries(batchFilters).map(
    ([field, filter]): Cells => [`a batch with ${field}`, { batchId: "b", ...filter }, ...invalid, field],
  ),
  [
    "a batch with a malformed page token",
    { batchId: "b", pageToken: "abc" },
    "InvalidArgument",
    "PAGE_TOKEN_INVALID",
    "page_token",
  ],
];

/** The rows. */
export const roomRows: readonly Row[] = [
  ...rowsOf("Publish", "service", [
    ...badRoomRows("audience.room_id", toRoom),
    ["an activity in a room", toRoom("lobby", activity), ...invalid, "message.kind"],
    [
      "an activity for several users",
      to({ users: { userIds: ["ann", "bob"] } }, activity),
      ...invalid,
      "audience.users",
    ],
    ["a replacement without a request id", { ...toRoom("lobby"), replace: true }, ...invalid, "request_id"],
  ]),
  ...rowsOf("Publish", "ann", [...badRoomRows("audience.room_id", toRoom), ...speakingRows]),
  ...rowsOf("Subscribe", "ann", [
    ...badRoomRows("rooms[1].room_id", (roomId) => enter({ roomId: "lobby" }, { roomId })),
    ...enteringRows,
  ]),
  ...rowsOf("Subscribe", "service", [
    ["FIRST, from a service", enter({ roomId: "lobby", ...first }), ...invalid, "rooms[0].mode"],
    ["LAST, from a service", enter({ roomId: "a" }, { roomId: "lobby", ...last }), ...invalid, "rooms[1].mode"],
  ]),
  ...rowsOf("Subscribe", "global", [
    ["rooms, from a service of all tenants", enter({ roomId: "lobby" }), ...invalid, "rooms"],
  ]),
  // An empty room_id means no filter.
  ...rowsOf("ListMessages", "ann", [
    ...badRoomRows("room_id", (roomId) => ({ roomId })).filter(([, request]) => (request as JsonObject).roomId !== ""),
    ["a room that the user may not enter", { roomId: "lobby" }, ...forbiddenRoom, "room_id"],
    ["a direct room of other users", { roomId: "dm/bob/eve" }, ...forbiddenRoom, "room_id"],
  ]),
  ...rowsOf("ListMessages", "service", batchRows),
  ...rowsOf("OnlineCount", "ann", [
    ...badRoomRows("room_id", (roomId) => ({ roomId })),
    ["a room that the user may not enter", { roomId: "lobby" }, ...forbiddenRoom, "room_id"],
  ]),
  ...rowsOf("DeleteMessages", "ann", [["a batch, from a user", { batchId: "b" }, ...invalid, "batch_id"]]),
  ...rowsOf("DeleteMessages", "service", [
    ["a batch without recall", { batchId: "b" }, ...invalid, "recall"],
    [
      "a batch and ids",
      ({ ids }) => ({ batchId: "b", ids: { messageIds: [...ids] }, recall: true }),
      ...invalid,
      "ids",
    ],
    ["a batch with a category", { batchId: "b", recall: true, category: "x" }, ...invalid, "category"],
  ]),
];
