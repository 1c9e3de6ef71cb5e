import { ConnectError } from "@connectrpc/connect";
import type { Identity, UserIdentity } from "../auth/identity.ts";
import { isUser } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import type { DirectRooms } from "../options.ts";
import { type Clock, elapsedOn } from "../ports/clock.ts";
import type { JoinMode } from "../ports/presence.ts";
import { tenantKey } from "../util/keys.ts";
import { LruCache } from "../util/lru.ts";
import { directUsers, isGranted } from "./grants.ts";
import { directPrefix } from "./room-ids.ts";

/** An action of a user in a room: to enter it and read it, or to publish to it. */
export type RoomAction = "join" | "publish";

/** A question to the operator's backend: may this user do this in this room? */
export interface RoomQuestion {
  readonly tenant: string;
  readonly user: string;
  readonly room: string;
  readonly action: RoomAction;
  /**
   * How the user wants to enter, for `join`: by `last`, all others are kicked. For a user who is in the room already, or
   * only reads its messages, it is `any`.
   */
  readonly mode?: JoinMode;
}

/** Decides about rooms that the token does not grant. */
export interface Authorize {
  /** Returns a cached answer, or undefined if there is none. */
  known(question: RoomQuestion): boolean | undefined;
  /** Returns the answer, from the cache or from the backend. Rejects with AUTHORIZE_UNAVAILABLE when there is none now. */
  ask(question: RoomQuestion): Promise<boolean>;
}

/** When clients may repeat a request that the hook did not answer, in ms. */
export const retryAfterMs = 1000;
/**
 * The most concurrent questions about one inbox, so that one with 256 rooms does not keep other users from entering
 * theirs.
 */
const maxConcurrent = 50;
/** The cool-down after a failure of the hook, in ms, during which the same user does not wait for it again. */
const coolDownMs = 10_000;
/** The modes by which a user has a room alone. */
const exclusive: readonly JoinMode[] = ["first", "last"];
/** The most users in a cool-down at a time. */
const maxCoolDowns = 10_000;

/** Decides who may enter a room and publish to it: first by the token, then by the operator's hook. */
export class RoomAccess {
  readonly #authorize: Authorize | undefined;
  readonly #clock: Clock;
  readonly #directRooms: DirectRooms;
  /** By user, the end of the cool-down after a failure of the hook. */
  readonly #coolDowns = new LruCache<string, number>({ entries: maxCoolDowns });

  /** Without `authorize`, rooms that the token does not grant are refused. */
  constructor(authorize: Authorize | undefined, clock: Clock, directRooms: DirectRooms = "open") {
    this.#authorize = authorize;
    this.#clock = clock;
    this.#directRooms = directRooms;
  }

  /**
   * Returns the decision if it needs no question to the hook, undefined otherwise. To enter by `last` takes a grant of its
   * own, because it kicks everybody else.
   */
  known(caller: Identity, room: string, action: RoomAction, mode: JoinMode = "any"): boolean | undefined {
    const isDirect = room.startsWith(directPrefix);
    if (isDirect && this.#directRooms === "off") return false;
    // A service acts for its whole tenant.
    if (!isUser(caller)) return true;
    // Neither a grant nor the hook opens a direct room to others, so that its two users are alone in it.
    if (isDirect && !directUsers(room)?.includes(caller.subject)) return false;
    if (this.#isGranted(caller, room, action) && (mode !== "last" || isGranted(caller.takeover, caller, room)))
      return true;
    if (!this.#authorize) return false;
    const known = this.#authorize.known(question(caller, room, action, mode));
    if (known !== undefined || action !== "join" || mode !== "any") return known;
    // A user who was let in by FIRST or LAST may be in the room: do not ask a second time.
    return exclusive.some((each) => this.#authorize?.known(question(caller, room, action, each))) || undefined;
  }

  /** Decides whether the caller may act. Rejects with AUTHORIZE_UNAVAILABLE when the hook does not answer. */
  async may(caller: Identity, room: string, action: RoomAction, mode: JoinMode = "any"): Promise<boolean> {
    const known = this.known(caller, room, action, mode);
    if (known !== undefined || !isUser(caller)) return known ?? false;
    return (await this.#authorize?.ask(question(caller, room, action, mode))) ?? false;
  }

  /**
   * Returns the rooms that a caller who is already in them may stay in. Only a refusal removes a room; a failure of the
   * hook does not, so that inboxes and open streams do not change whenever it is down. After a failure, the user does not
   * wait for it again until the cool-down ends.
   */
  async kept(caller: Identity, rooms: readonly string[]): Promise<readonly string[]> {
    const decisions = new Map(rooms.map((room) => [room, this.known(caller, room, "join")]));
    const undecided = rooms.filter((room) => decisions.get(room) === undefined);
    const user = tenantKey(caller.tenant ?? "", caller.subject);
    while (undecided.length > 0 && (this.#coolDowns.get(user) ?? 0) <= elapsedOn(this.#clock)) {
      const asking = undecided.splice(0, maxConcurrent).map(async (room) => {
        const may = await this.may(caller, room, "join").catch(() => this.#startCoolDown(user));
        decisions.set(room, may);
      });
      await Promise.all(asking);
    }
    return rooms.filter((room) => decisions.get(room) ?? true);
  }

  /** Throws ROOM_FORBIDDEN or AUTHORIZE_UNAVAILABLE, with the field that names the room, if the caller may not act. */
  async check(caller: Identity, room: string, action: RoomAction, field: string, mode?: JoinMode): Promise<void> {
    const may = await this.may(caller, room, action, mode).catch((error: unknown) => {
      throw withField(field, error);
    });
    if (may) return;
    if (this.#directRooms === "off" && room.startsWith(directPrefix)) {
      throw fail("ROOM_FORBIDDEN", "this server has no direct rooms; publish to user_id", { field });
    }
    throw forbidden(action, field, mode);
  }

  #isGranted(caller: UserIdentity, room: string, action: RoomAction): boolean {
    if (room.startsWith(directPrefix) && this.#directRooms !== "grant") return this.#directRooms === "open";
    return isGranted(action === "join" ? caller.rooms : caller.publish, caller, room);
  }

  #startCoolDown(user: string): undefined {
    this.#coolDowns.set(user, elapsedOn(this.#clock) + coolDownMs);
  }
}

/** Returns the error that refuses a room, with the field that names it. */
export function forbidden(action: RoomAction, field: string, mode?: JoinMode): Error {
  if (mode === "last") {
    const sentence = "the caller may not take this room over from others; enter it by ANY or FIRST";
    return fail("ROOM_FORBIDDEN", sentence, { field });
  }
  const doing = action === "join" ? "enter" : "publish to";
  return fail("ROOM_FORBIDDEN", `the caller may not ${doing} this room`, { field });
}

/**
 * Returns a failure of the hook with a field. Requests that shared one question share its error, each with another
 * field.
 */
function withField(field: string, error: unknown): unknown {
  if (!(error instanceof ConnectError)) return error;
  return fail("AUTHORIZE_UNAVAILABLE", error.rawMessage, { field, retryAfterMs, cause: error.cause });
}

function question(
  { tenant, subject: user }: UserIdentity,
  room: string,
  action: RoomAction,
  mode: JoinMode,
): RoomQuestion {
  return { tenant, user, room, action, ...(action === "join" ? { mode } : {}) };
}
