/** From Protobuf's JSON, which leaves out what is zero or empty, to the plain events of a session. */
import type { MessageJson, PositionJson, UnreadTotalsJson } from "../../../gen/tidings/v1/message_pb.ts";
import type {
  RoomState_StatusJson,
  RoomStateJson,
  SubscribeResponseJson,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import type { Position, RoomEvent, StreamEvent, UnreadTotals } from "../events.ts";
import { isSeq } from "../state/positions.ts";

/** One event of a stream. Throws a TypeError if it is none. */
export function readJsonEvent(json: SubscribeResponseJson): StreamEvent<MessageJson> {
  const { hello, message, readState, online, caughtUp, gap, room, heartbeat, goAway } = json;
  if (hello) {
    return {
      type: "hello",
      subscriptionId: hello.subscriptionId ?? "",
      heartbeatMs: readDuration(hello.heartbeatInterval),
      unread: readTotals(hello.unread),
      online: hello.online && { users: hello.online.users ?? 0, connections: hello.online.connections ?? 0 },
      positions: readPositions(hello.positions),
    };
  }
  if (message) {
    return {
      type: "message",
      message,
      position: message.position && readPosition(message.position),
      category: message.category ?? "",
      notification: message.kind === "KIND_NOTIFICATION",
    };
  }
  if (readState) {
    const { unread, readIds = [], unreadIds = [], deletedIds = [], all = false } = readState;
    return { type: "readState", unread: readTotals(unread), readIds, unreadIds, deletedIds, all };
  }
  if (online) return { type: "online", users: online.users ?? 0, connections: online.connections ?? 0 };
  if (caughtUp) return { type: "caughtUp", positions: readPositions(caughtUp.positions) };
  if (gap) return { type: "gap", from: gap.from && readPosition(gap.from), to: gap.to && readPosition(gap.to) };
  if (room) return readRoom(room);
  if (heartbeat) return { type: "heartbeat", positions: readPositions(heartbeat.positions) };
  if (goAway) return { type: "goAway", reconnectAfterMs: readDuration(goAway.reconnectAfter) };
  return { type: "unknown" };
}

/** Totals with their defaults filled in. */
export function readTotals(json: UnreadTotalsJson | undefined): UnreadTotals | undefined {
  if (json === undefined) return undefined;
  return { total: json.total ?? 0, byCategory: json.byCategory ?? {}, version: checkSeq(json.version) };
}

function readPositions(json: readonly PositionJson[] = []): Position[] {
  return json.map(readPosition);
}

function readPosition({ feed = "", epoch = 0, seq }: PositionJson): Position {
  return { feed, epoch, seq: checkSeq(seq) };
}

function checkSeq(seq = "0"): string {
  if (!isSeq(seq)) throw new TypeError(`not a decimal number: ${seq}`);
  return seq;
}

const statuses: Readonly<Partial<Record<RoomState_StatusJson, RoomEvent["status"]>>> = {
  STATUS_JOINED: "joined",
  STATUS_REFUSED: "refused",
  STATUS_KICKED: "kicked",
};

function readRoom({ roomId = "", status, reason = "", code = "" }: RoomStateJson): StreamEvent<MessageJson> {
  const known = status && statuses[status];
  return known === undefined ? { type: "unknown" } : { type: "room", roomId, status: known, reason, code };
}

/** `1.5s`, in ms. */
function readDuration(text: string | undefined): number {
  const milliseconds = Number.parseFloat(text ?? "0") * 1000;
  return Number.isFinite(milliseconds) ? milliseconds : 0;
}
