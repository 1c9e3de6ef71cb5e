import { create, toJson } from "@bufbuild/protobuf";
import { UserIdsSchema } from "../../../gen/tidings/v1/message_pb.ts";
import { type OnlineCountRequest, OnlineCountResponseSchema } from "../../../gen/tidings/v1/push_service_pb.ts";
import type { Values } from "../config/settings.ts";
import { UsageError } from "../config/usage-error.ts";
import { printable } from "../output/printer.ts";
import type { Command } from "./command.ts";
import { remote } from "./remote.ts";

/** `tidings online`: who is connected. */
export const online: Command = {
  name: "online",
  summary: "Count who is online: in the tenant, of some users, or in a room.",
  examples: [
    "tidings online",
    "tidings online --users ada,bob",
    "tidings online --room team/7",
    "tidings online --tenant-id acme --json",
  ],
  async run({ values, print }) {
    const { tenantId = "" } = values;
    const response = await remote(values, "online").onlineCount({ tenantId, scope: scopeOf(values) });
    if (values.json) {
      print.json(toJson(OnlineCountResponseSchema, response, { alwaysEmitImplicit: true }));
      return 0;
    }
    print.line(onlineText(response));
    for (const { userId, online: present, connections } of response.presences) {
      const state = present ? print.style("green", `online, streams: ${connections}`) : print.style("dim", "offline");
      print.line(`  ${printable(userId)}: ${state}`);
    }
    return 0;
  },
};

function scopeOf({ users, room }: Values): OnlineCountRequest["scope"] {
  const [roomId, second] = room ?? [];
  if (second !== undefined || (roomId !== undefined && users !== undefined)) {
    throw new UsageError("give one of --users and --room, and one room", "online");
  }
  if (roomId !== undefined) return { case: "roomId", value: roomId };
  if (users === undefined) return { case: undefined };
  return { case: "users", value: create(UserIdsSchema, { userIds: [...users] }) };
}

/** `online: users 3, streams 5`. */
export function onlineText({ users, connections }: { users: number; connections: number }): string {
  return `online: users ${users}, streams ${connections}`;
}
