/** From Protobuf to the plain events of a session. */
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { Kind, type Message } from "../../../gen/tidings/v1/message_pb.ts";
import {
  type RoomState,
  RoomState_Status as Status,
  type SubscribeResponse,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import type { RoomEvent, StreamEvent, UnreadTotals } from "../events.ts";

/** One event of a stream. */
export function readEvent({ event }: SubscribeResponse): StreamEvent<Message> {
  switch (event.case) {
    case "hello": {
      const { subscriptionId, heartbeatInterval, unread, online, positions } = event.value;
      return {
        type: "hello",
        subscriptionId,
        heartbeatMs: milliseconds(heartbeatInterval),
        unread: readTotals(unread),
        online: online && { users: online.users, connections: online.connections },
        positions,
      };
    }
    case "message": {
      const { position, category, kind } = event.value;
      const notification = kind === Kind.NOTIFICATION;
      return { type: "message", message: event.value, position, category, notification };
    }
    case "readState": {
      const { unread, readIds, unreadIds, deletedIds, all } = event.value;
      return { type: "readState", unread: readTotals(unread), readIds, unreadIds, deletedIds, all };
    }
    case "online":
      return { type: "online", users: event.value.users, connections: event.value.connections };
    case "caughtUp":
      return { type: "caughtUp", positions: event.value.positions };
    case "gap":
      return { type: "gap", from: event.value.from, to: event.value.to };
    case "room":
      return readRoom(event.value);
    case "heartbeat":
      return { type: "heartbeat", positions: event.value.positions };
    case "goAway":
      return { type: "goAway", reconnectAfterMs: milliseconds(event.value.reconnectAfter) };
    default:
      return { type: "unknown" };
  }
}

/** Totals without what Protobuf adds to a message. */
export function readTotals(totals: UnreadTotals | undefined): UnreadTotals | undefined {
  return totals && { total: totals.total, byCategory: totals.byCategory, version: totals.version };
}

const statuses: Readonly<Record<number, RoomEvent["status"]>> = {
  [Status.JOINED]: "joined",
  [Status.REFUSED]: "refused",
  [Status.KICKED]: "kicked",
};

function readRoom({ roomId, status, reason, code }: RoomState): StreamEvent<Message> {
  const known = statuses[status];
  return known === undefined ? { type: "unknown" } : { type: "room", roomId, status: known, reason, code };
}

function milliseconds(duration: Duration | undefined): number {
  return duration === undefined ? 0 : durationMs(duration);
}
