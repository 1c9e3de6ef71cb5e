import { fail } from "./errors.ts";
import type { Identity, UserIdentity } from "./identity.ts";
import { isUser } from "./identity.ts";
import { directUsers, isGranted } from "./rooms.ts";

/** What a user wants with a room: to enter it and read it, or to publish to it. */
export type RoomAction = "join" | "publish";

/** A question to the operator's backend. */
export interface RoomQuestion {
  readonly tenant: string;
  readonly user: string;
  readonly room: string;
  readonly action: RoomAction;
}

/** Decides what a token does not. Rejects when no answer can be had now. */
export interface Authorize {
  /** A remembered answer, undefined when it has to be asked for. */
  known(question: RoomQuestion): boolean | undefined;
  ask(question: RoomQuestion): Promise<boolean>;
}

/** Who may enter and who may speak: the token first, then the operator's hook. */
export class RoomAccess {
  readonly #authorize: Authorize | undefined;

  constructor(authorize: Authorize | undefined) {
    this.#authorize = authorize;
  }

  /** The answer where it is known without asking anybody: undefined means `ask`. */
  known(caller: Identity, room: string, action: RoomAction): boolean | undefined {
    // A service speaks for its company.
    if (!isUser(caller)) return true;
    // Nothing else opens a direct room, so that two users are alone in it.
    if (room.startsWith("dm/")) return directUsers(room)?.includes(caller.subject) ?? false;
    if (isGranted(action === "join" ? caller.rooms : caller.publish, caller, room)) return true;
    if (!this.#authorize) return false;
    return this.#authorize.known(question(caller, room, action));
  }

  /** Whether the caller may. Rejects with AUTHORIZE_UNAVAILABLE when nobody can tell now. */
  async may(caller: Identity, room: string, action: RoomAction): Promise<boolean> {
    const known = this.known(caller, room, action);
    if (known !== undefined || !isUser(caller)) return known ?? false;
    return (await this.#authorize?.ask(question(caller, room, action))) ?? false;
  }

  /** Throws ROOM_FORBIDDEN, with the field that names the room, or AUTHORIZE_UNAVAILABLE. */
  async check(caller: Identity, room: string, action: RoomAction, field: string): Promise<void> {
    if (!(await this.may(caller, room, action))) throw forbidden(action, field);
  }
}

/** The refusal of a room. */
export function forbidden(action: RoomAction, field: string): Error {
  const doing = action === "join" ? "enter" : "publish to";
  return fail("ROOM_FORBIDDEN", `the caller may not ${doing} this room`, { field });
}

function question({ tenant, subject: user }: UserIdentity, room: string, action: RoomAction): RoomQuestion {
  return { tenant, user, room, action };
}
