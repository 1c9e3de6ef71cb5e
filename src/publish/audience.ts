/** Whom a message is for: by which feeds they are reached, and whether the caller may reach them. */
import { type Draft, Kind, Scope } from "../../gen/tidings/v1/message_pb.ts";
import type { PublishRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import { type Identity, isUser } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import { activityFeed, everyoneFeed, type NamedFeed, tenantFeed, tenantOf, userFeed } from "../feeds/feed.ts";
import type { RoomAccess } from "../rooms/access.ts";
import { directUsers, requireRoom, roomFeed } from "../rooms/grants.ts";

/** An audience, looked up. */
export interface Address {
  readonly tenant: string;
  readonly scope: Scope;
  /** Canonical; "" unless the scope is a room. */
  readonly room: string;
  /** Who is named, and gets a receipt. */
  readonly users: readonly string[];
  /** Of these users the message is kept where they find it later although they were never there: the two of a direct room. */
  readonly members: readonly string[];
  /** Of an ACTIVITY, whom it concerns. */
  readonly receiver: string;
  readonly feeds: readonly NamedFeed[];
}

const nobody = { room: "", users: [], members: [], receiver: "" } as const;

/** Looks up the audience of a request. Throws when the caller may not reach it. */
export async function address(caller: Identity, request: PublishRequest, access: RoomAccess): Promise<Address> {
  const to = request.audience?.to;
  const draft = request.message as Draft;
  if (isUser(caller)) checkUser(caller.subject, request);
  if (to?.case === "everyone") return everyone(caller, request.tenantId);
  const tenant = tenantOf(caller, request.tenantId);
  if (to?.case === "roomId") return inRoom(caller, tenant, to.value, draft.kind, access);
  if (draft.kind === Kind.ACTIVITY) return activity(tenant, to);
  if (to?.case === "tenant") return { ...nobody, tenant, scope: Scope.TENANT, feeds: [tenantFeed(tenant)] };
  const users = to?.case === "userId" ? [to.value] : [...new Set(to?.value?.userIds)];
  return { ...nobody, tenant, scope: Scope.USER, users, feeds: users.map((user) => userFeed(tenant, user)) };
}

/** A user speaks in rooms, in the user's own name. */
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

function everyone(caller: Identity, tenantId: string): Address {
  if (caller.tenant !== undefined || tenantId !== "") {
    const sentence = "only a service that is not bound to a tenant, and names none, may publish to everyone";
    throw fail("AUDIENCE_FORBIDDEN", sentence, { field: "audience.everyone" });
  }
  return { ...nobody, tenant: everyoneFeed.key.tenant, scope: Scope.EVERYONE, feeds: [everyoneFeed] };
}

/** One write, however many see it: the receiver finds it where all do. */
function activity(tenant: string, to: NonNullable<PublishRequest["audience"]>["to"] | undefined): Address {
  if (to?.case === "users") {
    const sentence = "an ACTIVITY goes to the whole tenant; name one receiver by user_id, or none by tenant";
    throw fail("FIELD_INVALID", sentence, { field: "audience.users" });
  }
  const receiver = to?.case === "userId" ? to.value : "";
  const users = receiver === "" ? [] : [receiver];
  return { ...nobody, tenant, scope: Scope.TENANT, users, receiver, feeds: [activityFeed(tenant)] };
}

async function inRoom(caller: Identity, tenant: string, id: string, kind: Kind, access: RoomAccess): Promise<Address> {
  const field = "audience.room_id";
  const room = requireRoom(id, field);
  if (kind === Kind.ACTIVITY) {
    const sentence = "an ACTIVITY goes to the whole tenant; publish a NOTIFICATION or an EVENT to a room";
    throw fail("FIELD_INVALID", sentence, { field: "message.kind" });
  }
  await access.check(caller, room, "publish", field);
  const members = kind === Kind.NOTIFICATION ? [...new Set(directUsers(room))] : [];
  return { ...nobody, tenant, scope: Scope.ROOM, room, members, feeds: [roomFeed(tenant, room)] };
}
