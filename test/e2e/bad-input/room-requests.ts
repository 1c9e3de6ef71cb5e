/** Requests about rooms and batches that are well-formed and wrong; rows of the table in requests.ts. */
import type { JsonObject } from "@bufbuild/protobuf";
import { type Cells, type Row, rowsOf } from "./rows.ts";

const invalid = ["InvalidArgument", "FIELD_INVALID"] as const;
const forbiddenRoom = ["PermissionDenied", "ROOM_FORBIDDEN"] as const;
const forbiddenAudience = ["PermissionDenied", "AUDIENCE_FORBIDDEN"] as const;

/** Ids that are no room's, whoever asks. */
const badRooms: readonly (readonly [name: string, room: string])[] = [
  ["an empty room id", ""],
  ["a room id of 321 characters", "x".repeat(321)],
  ["a room id with a line break", "lob\nby"],
  ["a room id with DEL", "lobby\u007f"],
  ["a direct room of one", "dm/ann"],
  ["a direct room of three", "dm/ann/bob/eve"],
  ["a direct room of nobody and bob", "dm//bob"],
  ["a direct room without an end", "dm/ann/"],
  ["a direct room whose escaped id has over 320 characters", `dm/ann/${"%".repeat(110)}`],
];

function badRoomRows(field: string, place: (room: string) => JsonObject): Cells[] {
  return badRooms.map(([name, room]) => [name, place(room), ...invalid, field]);
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
  ["a user to a user", to({ userId: "bob" }), ...forbiddenAudience, "audience"],
  ["a user to users", to({ users: { userIds: ["bob"] } }), ...forbiddenAudience, "audience"],
  ["a user to the tenant", to({ tenant: true }), ...forbiddenAudience, "audience"],
  ["a user to everyone", to({ everyone: true }), ...forbiddenAudience, "audience"],
  ["a room where the user may not speak", toRoom("lobby"), ...forbiddenRoom, "audience.room_id"],
  ["a direct room of others", toRoom("dm/bob/eve"), ...forbiddenRoom, "audience.room_id"],
  ["a direct room of an id that only begins alike", toRoom("dm/an/nbob"), ...forbiddenRoom, "audience.room_id"],
  ["another actor", toRoom("dm/ann/bob", { actor: { id: "bob" } }), ...forbiddenAudience, "message.actor.id"],
  ["a batch, by a user", toRoom("dm/ann/bob", { batchId: "b" }), ...invalid, "message.batch_id"],
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
    "a room by LAST and by FIRST",
    enter({ roomId: "lobby", ...last }, { roomId: "lobby", ...first }),
    ...invalid,
    "rooms[1].room_id",
  ],
  [
    "a room twice in one mode",
    enter({ roomId: "a" }, { roomId: "lobby" }, { roomId: "a" }),
    ...invalid,
    "rooms[2].room_id",
  ],
  [
    "a direct room in either order",
    enter({ roomId: "dm/ann/bob" }, { roomId: "dm/bob/ann" }),
    ...invalid,
    "rooms[1].room_id",
  ],
  ["an unknown mode", enter({ roomId: "lobby", mode: 99 }), ...invalid, "rooms[0].mode"],
  [
    "the place in a room that was not asked for",
    { ...enter({ roomId: "lobby" }), positions: [{ feed: "room/other", seq: "1" }] },
    "InvalidArgument",
    "POSITION_INVALID",
    "positions[0].feed",
  ],
];

/** A batch is listed whole: what else could be filtered by. */
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
    "a page token that is none, of a batch",
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
    ["an activity for several", to({ users: { userIds: ["ann", "bob"] } }, activity), ...invalid, "audience.users"],
    ["a replacement of nothing that is named", { ...toRoom("lobby"), replace: true }, ...invalid, "request_id"],
  ]),
  ...rowsOf("Publish", "ann", [...badRoomRows("audience.room_id", toRoom), ...speakingRows]),
  ...rowsOf("Subscribe", "ann", [
    ...badRoomRows("rooms[1].room_id", (roomId) => enter({ roomId: "lobby" }, { roomId })),
    ...enteringRows,
  ]),
  ...rowsOf("Subscribe", "service", [
    ["FIRST, by a service", enter({ roomId: "lobby", ...first }), ...invalid, "rooms[0].mode"],
    ["LAST, by a service", enter({ roomId: "a" }, { roomId: "lobby", ...last }), ...invalid, "rooms[1].mode"],
  ]),
  ...rowsOf("Subscribe", "global", [["rooms, by a service of all", enter({ roomId: "lobby" }), ...invalid, "rooms"]]),
  // An empty room_id is no filter.
  ...rowsOf("ListMessages", "ann", [
    ...badRoomRows("room_id", (roomId) => ({ roomId })).filter(([, request]) => (request as JsonObject).roomId !== ""),
    ["a room that the user may not enter", { roomId: "lobby" }, ...forbiddenRoom, "room_id"],
    ["a direct room of others", { roomId: "dm/bob/eve" }, ...forbiddenRoom, "room_id"],
  ]),
  ...rowsOf("ListMessages", "service", batchRows),
  ...rowsOf("OnlineCount", "ann", [
    ...badRoomRows("room_id", (roomId) => ({ roomId })),
    ["a room that the user may not enter", { roomId: "lobby" }, ...forbiddenRoom, "room_id"],
  ]),
  ...rowsOf("DeleteMessages", "ann", [["a batch, by a user", { batchId: "b" }, ...invalid, "batch_id"]]),
  ...rowsOf("DeleteMessages", "service", [
    ["a batch that is not recalled", { batchId: "b" }, ...invalid, "recall"],
    [
      "a batch and ids",
      ({ ids }) => ({ batchId: "b", ids: { messageIds: [...ids] }, recall: true }),
      ...invalid,
      "ids",
    ],
    ["a batch by category", { batchId: "b", recall: true, category: "x" }, ...invalid, "category"],
  ]),
];
