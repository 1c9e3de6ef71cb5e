import { create, toJson } from "@bufbuild/protobuf";
import {
  PublishRequestSchema,
  type PublishResponse,
  PublishResponseSchema,
  type Receipt,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import { publishLines } from "../bulk/publish-lines.ts";
import type { Command } from "../command.ts";
import { audienceOf, draftOf } from "../config/publish-flags.ts";
import { flagName } from "../config/settings.ts";
import { UsageError } from "../config/usage-error.ts";
import { type Printer, printable } from "../output/printer.ts";
import { pushClient } from "../service-client.ts";

/** `tidings publish`: publishes one message to one audience. */
export const publish: Command = {
  name: "publish",
  summary: "Publish a message, or the lines of a file.",
  details:
    "Needs the token of a service or an admin; users may publish --to-room. Needs exactly one audience: --to-user, " +
    "--to-users, --to-room, --to-tenant or --to-everyone. An activity --to-user goes to the whole tenant, with that user " +
    "as its receiver. Prints the id of the message, and for each user whether it was stored and the user is online. " +
    "With --file it publishes many messages, in order and in batches, for services and admins; progress and lines that fail are on stderr, and --json " +
    "prints the outcome of each line.",
  examples: [
    'tidings publish --to-user ada --title "The build is green" --category system --link /builds/7',
    "tidings publish --to-users ada,bob --kind event --event build.done --json-payload '{\"ok\":true}' --ttl 10s",
    "tidings publish --to-room dm/ada/bob --content 'See you at noon'",
    "tidings publish --to-user ada --title 'The report is ready' --request-id report-7 --replace --batch-id reports",
    'tidings publish --to-tenant --title "Maintenance at noon" --request-id maintenance-7',
    "tidings publish --file messages.jsonl --rate 500",
    "jq -c '{title: .name}' orders.json | tidings publish --file - --to-user ada --category orders --run orders-7",
    'tidings publish --to-tenant --tenant-id acme --title "From a token that is not bound to a tenant"',
  ],
  async run(context) {
    const { values, print } = context;
    if (values.file !== undefined) return publishLines(context, values.file);
    for (const name of ["rate", "run", "fromLine"] as const) {
      if (values[name] !== undefined) throw new UsageError(`--${flagName(name)} needs --file`, "publish");
    }
    const request = create(PublishRequestSchema, {
      audience: audienceOf(values),
      message: draftOf(values),
      tenantId: values.tenantId ?? "",
      requestId: values.requestId ?? "",
      replace: values.replace,
    });
    const response = await pushClient(context, "publish").publish(request);
    if (values.json) print.json(toJson(PublishResponseSchema, response, { alwaysEmitImplicit: true }));
    else printResponse(print, response);
    return 0;
  },
};

function printResponse(print: Printer, { messageId, duplicate, receipts, onlineUsers }: PublishResponse): void {
  const online = receipts.length > 0 ? "" : `, ${onlineUsers} online`;
  const repeated = duplicate ? ", already published with this request id" : "";
  print.line(`published ${messageId}${online}${repeated}`);
  for (const receipt of receipts) print.line(`  ${printable(receipt.userId)}: ${receiptText(print, receipt)}`);
}

function receiptText(print: Printer, { stored, online, connections }: Receipt): string {
  const streams = connections === 1 ? "1 stream" : `${connections} streams`;
  const presence = online ? print.style("green", `online on ${streams}`) : print.style("dim", "offline");
  return `${stored ? "stored" : "not stored"}, ${presence}`;
}
