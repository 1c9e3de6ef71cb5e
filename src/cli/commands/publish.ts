import { create, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { durationFromMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Audience, AudienceSchema, type Draft, DraftSchema } from "../../../gen/tidings/v1/message_pb.ts";
import {
  PublishRequestSchema,
  type PublishResponse,
  PublishResponseSchema,
  type Receipt,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import type { Command } from "../command.ts";
import { kinds } from "../config/kinds.ts";
import { flagName, type Values } from "../config/settings.ts";
import { UsageError } from "../config/usage-error.ts";
import { type Printer, printable } from "../output/printer.ts";
import { pushClient } from "../service-client.ts";

/** `tidings publish`: publishes one message to one audience. */
export const publish: Command = {
  name: "publish",
  summary: "Publish a message.",
  details:
    "Needs the token of a service or an admin; users may publish --to-room. Needs exactly one audience: --to-user, " +
    "--to-users, --to-room, --to-tenant or --to-everyone. An activity --to-user goes to the whole tenant, with that user " +
    "as its receiver. Prints the id of the message, and for each user whether it was stored and the user is online.",
  examples: [
    'tidings publish --to-user ada --title "The build is green" --category system --link /builds/7',
    "tidings publish --to-users ada,bob --kind event --event build.done --json-payload '{\"ok\":true}' --ttl 10s",
    "tidings publish --to-room dm/ada/bob --content 'See you at noon'",
    "tidings publish --to-user ada --title 'The report is ready' --request-id report-7 --replace --batch-id reports",
    'tidings publish --to-tenant --title "Maintenance at noon" --request-id maintenance-7',
    'tidings publish --to-tenant --tenant-id acme --title "From a token that is not bound to a tenant"',
  ],
  async run(context) {
    const { values, print } = context;
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

function audienceOf(values: Values): Audience {
  const names = (["toUser", "toUsers", "toRoom", "toTenant", "toEveryone"] as const).filter((name) => values[name]);
  const [name, second] = names;
  if (name === undefined || second !== undefined) {
    const given = names.length === 0 ? "none" : names.map((each) => `--${flagName(each)}`).join(" and ");
    throw new UsageError(
      `set exactly one of --to-user, --to-users, --to-room, --to-tenant and --to-everyone; set now: ${given}`,
      "publish",
    );
  }
  if (name === "toUser") return create(AudienceSchema, { to: { case: "userId", value: values.toUser ?? "" } });
  if (name === "toRoom") return create(AudienceSchema, { to: { case: "roomId", value: values.toRoom ?? "" } });
  if (name === "toUsers") {
    return create(AudienceSchema, { to: { case: "users", value: { userIds: [...(values.toUsers ?? [])] } } });
  }
  return create(AudienceSchema, { to: { case: name === "toTenant" ? "tenant" : "everyone", value: true } });
}

function draftOf(values: Values): Draft {
  const {
    kind,
    title = "",
    content = "",
    category = "",
    link = "",
    event = "",
    batchId = "",
    jsonPayload,
    ttl,
  } = values;
  return create(DraftSchema, {
    kind: kinds[kind],
    title,
    content,
    category,
    url: link,
    event,
    batchId,
    ...(jsonPayload && {
      payload: { case: "json", value: fromJson(ValueSchema, jsonPayload.value as JsonValue) },
    }),
    ...(ttl !== undefined && { ttl: durationFromMs(ttl) }),
  });
}

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
