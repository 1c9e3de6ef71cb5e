import { toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { DisconnectResponseSchema } from "../../../gen/tidings/v1/admin_service_pb.ts";
import type { Values } from "../config/settings.ts";
import { UsageError } from "../config/usage-error.ts";
import type { Command } from "./command.ts";
import { remoteAdmin } from "./remote.ts";

/** `tidings disconnect`: ends a user's streams. */
export const disconnect: Command = {
  name: "disconnect",
  summary: "End the streams of a user, and keep the user or a token out.",
  details:
    "For tokens of services and admins: after a logout, say. Without --block-for and --block-until the user may come back " +
    "at once, by any token that has not expired. Prints how many streams end.",
  examples: [
    "tidings disconnect --user ada --reason 'logged out'",
    "tidings disconnect --user ada --token-id session-7 --block-for 1h",
    "tidings disconnect --user ada --block-until 2026-12-24T18:00:00+01:00",
    "tidings disconnect --user ada --block-until 1970-01-01T00:00:00Z",
  ],
  async run({ values, deps, print }) {
    const { user: userId, tokenId = "", tenantId = "", reason = "" } = values;
    if (userId === undefined) throw new UsageError("--user: name the user", "disconnect");
    const until = blockUntilOf(values, deps.now());
    const response = await remoteAdmin(values, "disconnect").disconnect({
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
  if (blockUntil !== undefined) throw new UsageError("give one of --block-for and --block-until", "disconnect");
  return now + blockFor;
}

function blockText(until: number, now: number): string {
  return until > now ? `blocked until ${new Date(until).toISOString()}` : "not blocked any more";
}
