/** From plain requests to Protobuf ones. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type DeleteMessagesRequestSchema,
  type MarkReadRequestSchema,
  type OnlineCountRequestSchema,
  RoomMode,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import type { SubscribeInit } from "../calls/caller.ts";
import type { StreamRequest } from "../events.ts";
import type { DeleteRequest, MarkRequest, OnlineRequest } from "../requests.ts";

/** A request of Subscribe: what stays, and what each stream begins with. */
export function subscribeInit(filters: SubscribeInit, request: StreamRequest): SubscribeInit {
  const rooms = request.rooms.map(({ roomId, mode }) => ({
    roomId,
    mode: RoomMode[mode.toUpperCase() as Uppercase<typeof mode>],
  }));
  return { ...filters, positions: [...request.positions], rooms };
}

/** A request of MarkRead. Throws a TypeError for more than one target. */
export function markInit(request: MarkRequest): MessageInitShape<typeof MarkReadRequestSchema> {
  const { ids, all, oldest, categories = [], unread = false, upTo = [] } = request;
  const rest = { categories: [...categories], unread, upTo: [...upTo] };
  if ([ids, all, oldest].filter((target) => target !== undefined).length > 1) {
    throw new TypeError("markRead: give only one of ids, all and oldest");
  }
  if (ids) return { ...rest, target: { case: "ids", value: { messageIds: [...ids] } } };
  if (all) return { ...rest, target: { case: "all", value: all } };
  if (oldest !== undefined) return { ...rest, target: { case: "oldest", value: oldest } };
  return rest;
}

/** A request of DeleteMessages. */
export function deleteInit({ ids, ...rest }: DeleteRequest): MessageInitShape<typeof DeleteMessagesRequestSchema> {
  return ids ? { ...rest, ids: { messageIds: [...ids] } } : rest;
}

/** A request of OnlineCount. Throws a TypeError for more than one scope. */
export function onlineInit(request: OnlineRequest): MessageInitShape<typeof OnlineCountRequestSchema> {
  const { users, roomId, ...rest } = request;
  if (users && roomId !== undefined) throw new TypeError("onlineCount: give only one of users and roomId");
  if (users) return { ...rest, scope: { case: "users", value: { userIds: [...users] } } };
  return roomId === undefined ? rest : { ...rest, scope: { case: "roomId", value: roomId } };
}
