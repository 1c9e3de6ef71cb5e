import { toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { DisconnectResponseSchema } from "../../../gen/tidings/v1/admin_service_pb.ts";
import type { Command } from "../command.ts";
import type { Values } from "../config/settings.ts";
import { UsageError } from "../config/usage-error.ts";
import { adminClient } from "../service-client.ts";

/** `tidings disconnect`: ends the streams of a user. */
export const disconnect: Command = {
  name: "disconnect",
  summary: "End the streams of a user, for example after a logout; optionally block the user or a token.",
  details:
    "Needs the token of a service or an admin. Without --block-for and --block-until the user may reconnect at once, with " +
    "any token that has not expired. Prints the number of streams that end.",
  examples: [
    "tidings disconnect --user ada --reason 'logged out'",
    "tidings disconnect --user ada --token-id session-7 --block-for 1h",
    "tidings disconnect --user ada --block-until 2026-12-24T18:00:00+01:00",
    "tidings disconnect --user ada --block-until 1970-01-01T00:00:00Z",
  ],
  async run(context) {
    const { values, deps, print } = context;
    const { user: userId, tokenId = "", tenantId = "", reason = "" } = values;
    if (userId === undefined) throw new UsageError("--user is required", "disconnect");
    const until = blockUntilOf(values, deps.now());
    const response = await adminClient(context, "disconnect").disconnect({
      tenantId,
      userId,
      tokenId,
      reason,
      ...(until !== undefined && { blockUntil: timestampFromMs(until) }),
    });
    if (values.json) print.json(toJson(DisconnectResponseSchema, response, { alwaysEmitImplicit: true }));
    else
      print.line(
        `ended streams: ${response.connections}${until === undefined ? "" : `, ${blockText(until, deps.now())}`}`,
      );
    return 0;
  },
};

function blockUntilOf({ blockFor, blockUntil }: Values, now: number): number | undefined {
  if (blockFor === undefined) return blockUntil;
  if (blockUntil !== undefined) {
    throw new UsageError("--block-for and --block-until exclude each other; set one of them", "disconnect");
  }
  return now + blockFor;
}

function blockText(until: number, now: number): string {
  return until > now ? `blocked until ${new Date(until).toISOString()}` : "no longer blocked";
}
