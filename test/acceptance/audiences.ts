/** What the tests publish, and to whom. */
import type { JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import { fromJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { AudienceSchema, DraftSchema } from "../../gen/tidings/v1/message_pb.ts";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";

/** An audience as a client writes it. */
export type AudienceInit = MessageInitShape<typeof AudienceSchema>;
/** A message as a client writes it. */
export type DraftInit = MessageInitShape<typeof DraftSchema>;

export const toTenant = { to: { case: "tenant", value: true } } as const;
export const toEveryone = { to: { case: "everyone", value: true } } as const;

export function toUser(value: string) {
  return { to: { case: "userId", value } } as const;
}

export function toUsers(userIds: string[]) {
  return { to: { case: "users", value: { userIds } } } as const;
}

export function toRoom(value: string) {
  return { to: { case: "roomId", value } } as const;
}

/** A notification. */
export function note(title: string, more: DraftInit = {}) {
  return { kind: Kind.NOTIFICATION, title, ...more } as const;
}

/** An activity. */
export function activity(title: string, more: DraftInit = {}) {
  return { kind: Kind.ACTIVITY, title, ...more } as const;
}

/** An event that is live only. */
export function event(name: string, more: DraftInit = {}) {
  return { kind: Kind.EVENT, event: name, ...more } as const;
}

/** A payload of JSON. */
export function json(value: JsonValue): { case: "json"; value: Value } {
  return { case: "json", value: fromJson(ValueSchema, value) };
}
