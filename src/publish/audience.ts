/** The audience of a message: the feeds that reach it, and whether the caller may publish to them. */
import { type Draft, Kind, Scope } from "../../gen/tidings/v1/message_pb.ts";
import type { PublishRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import { type Identity, isUser } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import { activityFeed, everyoneFeed, type NamedFeed, tenantFeed, tenantOf, userFeed } from "../feeds/feed.ts";
import type { RoomAccess } from "../rooms/access.ts";
import { directUsers, requireRoom, roomFeed } from "../rooms/grants.ts";
import type { MaybePromise } from "../util/maybe-promise.ts";
import type { ReservedCategories } from "./reserved-categories.ts";

/** What decides whether a caller may reach an audience. */
export interface AudienceRules {
  readonly access: RoomAccess;
  readonly reserved: ReservedCategories;
}

/** An audience that the caller may publish to. */
export interface ResolvedAudience {
  readonly tenant: string;
  readonly scope: Scope;
  /** The canonical id of the room; "" unless the scope is a room. */
  readonly room: string;
  /** The users that the request names, each of whom gets a receipt. */
  readonly users: readonly string[];
  /** Users whose inbox gets the room even if they never joined it: the two of a direct room, for a notification. */
  readonly members: readonly string[];
  /** The receiver of an activity, or "". */
  readonly receiver: string;
  readonly feeds: readonly NamedFeed[];
}

const noUsers = { room: "", users: [], members: [], receiver: "" } as const;

/**
 * Resolves the audience of a request. Returns a promise only for a room, about which the hook may have to be asked. Throws, or
 * rejects with, TENANT_REQUIRED, TENANT_FORBIDDEN, AUDIENCE_FORBIDDEN, CATEGORY_RESERVED, ROOM_FORBIDDEN,
 * AUTHORIZE_UNAVAILABLE, or FIELD_INVALID for an audience that its kind of message cannot have.
 */
export function resolveAudience(
  caller: Identity,
  request: PublishRequest,
  { access, reserved }: AudienceRules,
): MaybePromise<ResolvedAudience> {
  const to = request.audience?.to;
  const draft = request.message as Draft;
  if (isUser(caller)) {
    checkUser(caller.subject, request);
    reserved.check(draft.category);
  }
  if (to?.case === "everyone") return everyone(caller, request.tenantId);
  const tenant = tenantOf(caller, request.tenantId);
  if (to?.case === "roomId") return inRoom(caller, tenant, to.value, draft.kind, access);
  if (draft.kind === Kind.ACTIVITY) return activity(tenant, to);
  if (to?.case === "tenant") return { ...noUsers, tenant, scope: Scope.TENANT, feeds: [tenantFeed(tenant)] };
  const users = to?.case === "userId" ? [to.value] : [...new Set(to?.value?.userIds)];
  return { ...noUsers, tenant, scope: Scope.USER, users, feeds: users.map((user) => userFeed(tenant, user)) };
}

/** Checks the limits of users: they publish to rooms only, as themselves, and no batches. */
function checkUser(subject: string, { audience, message }: PublishRequest): void {
  if (audience?.to.case !== "roomId") {
    throw fail("AUDIENCE_FORBIDDEN", "a user may publish to rooms only", { field: "audience" });
  }
  const actor = message?.actor?.id ?? "";
  if (actor !== "" && actor !== subject) {
    throw fail("AUDIENCE_FORBIDDEN", "a user speaks for itself; leave it out", { field: "message.actor.id" });
  }
  if (message?.batchId) throw fail("FIELD_INVALID", "batches are for services", { field: "message.batch_id" });
}

function everyone(caller: Identity, tenantId: string): ResolvedAudience {
  if (caller.tenant !== undefined || tenantId !== "") {
    const sentence = "only a service that is not bound to a tenant, and names none, may publish to everyone";
    throw fail("AUDIENCE_FORBIDDEN", sentence, { field: "audience.everyone" });
  }
  return { ...noUsers, tenant: everyoneFeed.key.tenant, scope: Scope.EVERYONE, feeds: [everyoneFeed] };
}

/** An activity is one append to the tenant's feed of activities, where its receiver finds it as everybody else does. */
function activity(tenant: string, to: NonNullable<PublishRequest["audience"]>["to"] | undefined): ResolvedAudience {
  if (to?.case === "users") {
    const sentence = "an ACTIVITY goes to the whole tenant; name one receiver by user_id, or none by tenant";
    throw fail("FIELD_INVALID", sentence, { field: "audience.users" });
  }
  const receiver = to?.case === "userId" ? to.value : "";
  const users = receiver === "" ? [] : [receiver];
  return { ...noUsers, tenant, scope: Scope.TENANT, users, receiver, feeds: [activityFeed(tenant)] };
}

async function inRoom(
  caller: Identity,
  tenant: string,
  id: string,
  kind: Kind,
  access: RoomAccess,
): Promise<ResolvedAudience> {
  const field = "audience.room_id";
  const room = requireRoom(id, field);
  if (kind === Kind.ACTIVITY) {
    const sentence = "an ACTIVITY goes to the whole tenant; publish a NOTIFICATION or an EVENT to a room";
    throw fail("FIELD_INVALID", sentence, { field: "message.kind" });
  }
  await access.check(caller, room, "publish", field);
  const members = kind === Kind.NOTIFICATION ? [...new Set(directUsers(room))] : [];
  return { ...noUsers, tenant, scope: Scope.ROOM, room, members, feeds: [roomFeed(tenant, room)] };
}
