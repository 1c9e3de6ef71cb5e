/** The message and the audience that the flags of `tidings publish` describe. */
import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { durationFromMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Audience, AudienceSchema, type Draft, DraftSchema } from "../../../gen/tidings/v1/message_pb.ts";
import { kinds } from "./kinds.ts";
import { flagName, type Values } from "./settings.ts";
import { UsageError } from "./usage-error.ts";

const audiences = ["toUser", "toUsers", "toRoom", "toTenant", "toEveryone"] as const;

/** The audiences that the flags set. */
export function givenAudiences(values: Values): readonly (typeof audiences)[number][] {
  return audiences.filter((name) => values[name]);
}

/** The audience of the flags. Throws a UsageError unless there is exactly one. */
export function audienceOf(values: Values): Audience {
  const names = givenAudiences(values);
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

/** The message of the flags. */
export function draftOf(values: Values): Draft {
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
