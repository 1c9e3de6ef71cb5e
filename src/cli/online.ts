import { toJson } from "@bufbuild/protobuf";
import { OnlineCountResponseSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import type { Command } from "./command.ts";
import { printable } from "./printer.ts";
import { remote } from "./remote.ts";

/** `tidings online`: who is connected. */
export const online: Command = {
  name: "online",
  summary: "Count who is online: in the tenant, or of some users.",
  examples: ["tidings online", "tidings online --users ada,bob", "tidings online --tenant-id acme --json"],
  async run({ values, print }) {
    const { users: userIds, tenantId = "" } = values;
    const response = await remote(values, "online").onlineCount({
      tenantId,
      ...(userIds && { scope: { case: "users", value: { userIds: [...userIds] } } }),
    });
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

/** `online: users 3, streams 5`. */
export function onlineText({ users, connections }: { users: number; connections: number }): string {
  return `online: users ${users}, streams ${connections}`;
}
