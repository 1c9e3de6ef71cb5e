/** Audiences and messages of the acceptance tests. */
import type { JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import { fromJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { AudienceSchema, DraftSchema } from "../../gen/tidings/v1/message_pb.ts";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";

/** An audience in the contract's form. */
export type AudienceInit = MessageInitShape<typeof AudienceSchema>;
/** A message in the contract's form. */
export type DraftInit = MessageInitShape<typeof DraftSchema>;

/** Every user of the tenant. */
export const toTenant = { to: { case: "tenant", value: true } } as const;
/** Every user of every tenant. */
export const toEveryone = { to: { case: "everyone", value: true } } as const;

/** One user. */
export function toUser(value: string) {
  return { to: { case: "userId", value } } as const;
}

/** Several users. */
export function toUsers(userIds: string[]) {
  return { to: { case: "users", value: { userIds } } } as const;
}

/** The members of a room. */
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
