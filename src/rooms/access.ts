import { ConnectError } from "@connectrpc/connect";
import type { Identity, UserIdentity } from "../auth/identity.ts";
import { isUser } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import type { Clock } from "../ports/clock.ts";
import { tenantKey } from "../util/keys.ts";
import { LruCache } from "../util/lru.ts";
import { directUsers, isGranted } from "./grants.ts";

/** What a user wants with a room: to enter it and read it, or to publish to it. */
export type RoomAction = "join" | "publish";

/** A question to the operator's backend. */
export interface RoomQuestion {
  readonly tenant: string;
  readonly user: string;
  readonly room: string;
  readonly action: RoomAction;
}

/** Decides what a token does not. Rejects with AUTHORIZE_UNAVAILABLE when no answer can be had now. */
export interface Authorize {
  /** A remembered answer, undefined when it has to be asked for. */
  known(question: RoomQuestion): boolean | undefined;
  ask(question: RoomQuestion): Promise<boolean>;
}

/** What failed once is not well at once. */
export const retryAfterMs = 1000;
/** Of one user, rooms that are asked for together: an inbox of 256 must not crowd out who wants to enter one. */
const askedTogether = 50;
/** A user for whom the hook could not tell is not made to wait for it again so soon. */
const coolDownMs = 10_000;
const maxRemembered = 10_000;

/** Who may enter and who may speak: the token first, then the operator's hook. */
export class RoomAccess {
  readonly #authorize: Authorize | undefined;
  readonly #clock: Clock;
  /** By user, until when the hook is not waited for. */
  readonly #spared = new LruCache<string, number>({ entries: maxRemembered });

  constructor(authorize: Authorize | undefined, clock: Clock) {
    this.#authorize = authorize;
    this.#clock = clock;
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

  /**
   * Those of the rooms that a caller who was in them stays in. Only a clear no closes one: inboxes and open streams do
   * not come and go with a hook, and do not wait for one that is slow, but for one time in a while.
   */
  async kept(caller: Identity, rooms: readonly string[]): Promise<readonly string[]> {
    const answers = new Map(rooms.map((room) => [room, this.known(caller, room, "join")]));
    const open = rooms.filter((room) => answers.get(room) === undefined);
    const user = tenantKey(caller.tenant ?? "", caller.subject);
    while (open.length > 0 && (this.#spared.get(user) ?? 0) <= this.#clock.now()) {
      const asked = open.splice(0, askedTogether).map(async (room) => {
        const may = await this.may(caller, room, "join").catch(() => this.#spare(user));
        answers.set(room, may);
      });
      await Promise.all(asked);
    }
    return rooms.filter((room) => answers.get(room) ?? true);
  }

  /** Throws ROOM_FORBIDDEN, with the field that names the room, or AUTHORIZE_UNAVAILABLE. */
  async check(caller: Identity, room: string, action: RoomAction, field: string): Promise<void> {
    const may = await this.may(caller, room, action).catch((error: unknown) => {
      throw naming(field, error);
    });
    if (!may) throw forbidden(action, field);
  }

  #spare(user: string): undefined {
    this.#spared.set(user, this.#clock.now() + coolDownMs);
  }
}

/** The refusal of a room. */
export function forbidden(action: RoomAction, field: string): Error {
  const doing = action === "join" ? "enter" : "publish to";
  return fail("ROOM_FORBIDDEN", `the caller may not ${doing} this room`, { field });
}

/** One failure of the hook meets all who wait for the same answer; each is told of its own field. */
function naming(field: string, error: unknown): unknown {
  if (!(error instanceof ConnectError)) return error;
  return fail("AUTHORIZE_UNAVAILABLE", error.rawMessage, { field, retryAfterMs, cause: error.cause });
}

function question({ tenant, subject: user }: UserIdentity, room: string, action: RoomAction): RoomQuestion {
  return { tenant, user, room, action };
}
