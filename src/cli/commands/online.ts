import { create, toJson } from "@bufbuild/protobuf";
import { UserIdsSchema } from "../../../gen/tidings/v1/message_pb.ts";
import { type OnlineCountRequest, OnlineCountResponseSchema } from "../../../gen/tidings/v1/push_service_pb.ts";
import type { Command } from "../command.ts";
import type { Values } from "../config/settings.ts";
import { UsageError } from "../config/usage-error.ts";
import { onlineText } from "../output/counts.ts";
import { printable } from "../output/printer.ts";
import { pushClient } from "../service-client.ts";

/** `tidings online`: counts the users who are connected. */
export const online: Command = {
  name: "online",
  summary: "Count the users who are online in the tenant, among some users, or in a room.",
  examples: [
    "tidings online",
    "tidings online --users ada,bob",
    "tidings online --room team/7",
    "tidings online --tenant-id acme --json",
  ],
  async run(context) {
    const { values, print } = context;
    const { tenantId = "" } = values;
    const response = await pushClient(context, "online").onlineCount({ tenantId, scope: scopeOf(values) });
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
    throw new UsageError("set either --users or a single --room", "online");
  }
  if (roomId !== undefined) return { case: "roomId", value: roomId };
  if (users === undefined) return { case: undefined };
  return { case: "users", value: create(UserIdsSchema, { userIds: [...users] }) };
}
