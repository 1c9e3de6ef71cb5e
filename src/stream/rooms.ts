import { Code, ConnectError } from "@connectrpc/connect";
import { type RoomJoin, RoomMode, RoomState_Status as Status } from "../../gen/tidings/v1/push_service_pb.ts";
import { type Identity, isUser } from "../auth/identity.ts";
import { codeName, fail, reasonOf } from "../errors.ts";
import type { Connection, JoinMode } from "../ports/presence.ts";
import { forbidden } from "../rooms/access.ts";
import { requireRoom } from "../rooms/grants.ts";
import type { StreamContext } from "./context.ts";

/** What became of a room on a stream. */
export interface RoomOutcome {
  readonly roomId: string;
  readonly status: Status;
  /** The reason of the error table; empty when joined, as are the two below. */
  readonly reason: string;
  /** The sentence of the error. */
  readonly message: string;
  /** The Connect code. */
  readonly code: string;
}

type RoomsContext = Pick<StreamContext, "access" | "presence" | "settings" | "states">;

/** The stream that has the rooms. */
export interface RoomsOwner {
  /** `take` has something. */
  wake(): void;
  /** A room is lost, from now on. */
  lost(room: string): void;
}

/** A room that a stream asked for. */
interface Wish {
  readonly room: string;
  readonly entrance: JoinMode;
  /** The path of its field. */
  readonly field: string;
}

const entrances: Readonly<Record<RoomMode, JoinMode>> = {
  [RoomMode.UNSPECIFIED]: "any",
  [RoomMode.ANY]: "any",
  [RoomMode.FIRST]: "first",
  [RoomMode.LAST]: "last",
};

/** The rooms of one stream: whether it may enter, whether somebody else is in, and who takes them away. */
export class StreamRooms {
  readonly #context: RoomsContext;
  readonly #connection: Connection;
  readonly #instance: string;
  readonly #wishes: readonly Wish[];
  readonly #told: RoomsOwner;
  /** Those that are being entered, too: who takes one away meanwhile finds it. */
  readonly #entered = new Map<string, Wish>();
  #identity: Identity;
  #outcomes: RoomOutcome[] = [];
  #closed = false;

  /**
   * Throws for a room that no rights could open: a malformed id, one named twice. `lost` is called at once when a room is
   * lost, `wake` when `take` has something.
   */
  constructor(
    context: RoomsContext,
    identity: Identity,
    { id, rooms, instanceId }: { id: string; rooms: readonly RoomJoin[]; instanceId: string },
    told: RoomsOwner,
  ) {
    this.#context = context;
    this.#identity = identity;
    this.#connection = { id, tenant: identity.tenant ?? "", user: identity.subject };
    this.#instance = instanceId;
    this.#wishes = toWishes(identity, rooms);
    this.#told = told;
  }

  /** The rooms that were asked for. */
  get wished(): readonly string[] {
    return this.#wishes.map(({ room }) => room);
  }

  /** Whether the stream is in the room. */
  holds(room: string): boolean {
    return this.#entered.has(room);
  }

  /** Enters what the token opens; what has to be asked for comes by `take`, so that a slow answer holds up nothing. */
  async start(): Promise<readonly RoomOutcome[]> {
    const { access } = this.#context;
    const known = this.#wishes.map((wish) => access.known(this.#identity, wish.room, "join"));
    const open = this.#wishes.filter((_, index) => known[index]);
    const unenrolled = await this.#enroll(open.filter(isMember));
    this.#wishes.forEach((wish, index) => {
      if (known[index] === undefined) void this.#later(wish);
    });
    const decided = this.#wishes.filter((_, index) => known[index] !== undefined);
    const outcomes = await Promise.all(decided.map((wish) => this.#settle(wish, () => this.#enter(wish, unenrolled))));
    return outcomes.filter((outcome) => this.#isTrue(outcome));
  }

  /** Whether `take` has something. */
  get hasOutcomes(): boolean {
    return this.#outcomes.length > 0;
  }

  /** What has happened since. */
  take(): readonly RoomOutcome[] {
    const outcomes = this.#outcomes;
    this.#outcomes = [];
    return outcomes;
  }

  /** Another connection took the room. */
  kick(room: string): void {
    const wish = this.#entered.get(room);
    if (wish) this.#lose(wish, fail("ROOM_TAKEN", "someone else has taken the room", { field: wish.field }));
  }

  /** A fresh token may open less. */
  async recheck(identity: Identity): Promise<void> {
    this.#identity = identity;
    const entered = [...this.#entered.values()];
    const kept = await this.#context.access.kept(
      identity,
      entered.map(({ room }) => room),
    );
    const lost = entered.filter(({ room }) => this.#entered.has(room) && !kept.includes(room));
    for (const wish of lost) this.#lose(wish, forbidden("join", wish.field));
    await Promise.all(lost.map(({ room }) => this.#context.presence.leave(this.#connection, room)));
  }

  /** What is under way ends without effect. */
  close(): void {
    this.#closed = true;
  }

  async #later(wish: Wish): Promise<void> {
    const outcome = await this.#settle(wish, async () => {
      await this.#context.access.check(this.#identity, wish.room, "join", wish.field);
      await this.#enter(wish, await this.#enroll([wish].filter(isMember)));
    });
    if (!this.#isTrue(outcome)) return;
    this.#outcomes.push(outcome);
    this.#told.wake();
  }

  async #settle({ room }: Wish, enter: () => Promise<void>): Promise<RoomOutcome> {
    try {
      await enter();
      return { roomId: room, status: Status.JOINED, reason: "", message: "", code: "" };
    } catch (error) {
      const { logger } = this.#context.settings;
      if (!(error instanceof ConnectError)) logger?.error({ err: error }, "entering a room failed");
      else if (error.code === Code.Unavailable) logger?.warn({ err: error.cause }, "entering a room failed");
      return refusal(room, Status.REFUSED, error);
    }
  }

  async #enter(wish: Wish, unenrolled: readonly string[]): Promise<void> {
    const { room, field } = wish;
    // A closed stream takes no room from anybody. And a fresh token may have come that opens less.
    if (this.#closed) throw fail("STREAM_CLOSED", "the client closed the stream");
    if (this.#context.access.known(this.#identity, room, "join") === false) throw forbidden("join", field);
    if (unenrolled.includes(room)) throw tooMany(field);
    this.#entered.set(room, wish);
    if (!isUser(this.#identity)) return;
    try {
      await this.#sit(wish);
    } catch (error) {
      this.#entered.delete(room);
      throw error;
    }
  }

  async #sit(wish: Wish): Promise<void> {
    const { room, entrance, field } = wish;
    const { presence } = this.#context;
    const joined = await presence.join({
      connection: this.#connection,
      room,
      mode: entrance,
      instance: this.#instance,
    });
    if (!joined) throw fail("ROOM_TAKEN", "someone else is in the room", { field });
    const full = !isMember(wish) && (await this.#enroll([wish])).length > 0;
    // The stream ended, or lost the room, before it was in, and nobody would leave.
    if (full || this.#closed || !this.#entered.has(room)) await presence.leave(this.#connection, room);
    if (full) throw tooMany(field);
  }

  /** Puts the rooms into the user's inbox; answers those for which there is no place. */
  async #enroll(wishes: readonly Wish[]): Promise<readonly string[]> {
    if (!isUser(this.#identity) || wishes.length === 0) return [];
    const rooms = wishes.map(({ room }) => room);
    return this.#context.states.enroll(this.#identity.tenant, this.#identity.subject, rooms);
  }

  #lose({ room }: Wish, error: unknown): void {
    this.#entered.delete(room);
    this.#told.lost(room);
    this.#outcomes.push(refusal(room, Status.KICKED, error));
    this.#told.wake();
  }

  /** Who lost a room while entering it is told so, and not that it was entered. */
  #isTrue({ roomId, status }: RoomOutcome): boolean {
    return status !== Status.JOINED || this.#entered.has(roomId);
  }
}

/** Whoever may enter is a member, but who asks to be the first may find somebody there, and stays outside. */
function isMember({ entrance }: Wish): boolean {
  return entrance !== "first";
}

function tooMany(field: string): Error {
  return fail("TOO_MANY_ROOMS", "the inbox holds too many rooms with unread messages; read one of them first", {
    field,
  });
}

function toWishes(identity: Identity, rooms: readonly RoomJoin[]): Wish[] {
  const wishes = rooms.map(({ roomId, mode }, index) => {
    const field = `rooms[${index}]`;
    const entrance = entrances[mode] ?? "any";
    if (!isUser(identity) && entrance !== "any") {
      throw fail("FIELD_INVALID", "only a user's page can have a room to itself", { field: `${field}.mode` });
    }
    return { room: requireRoom(roomId, `${field}.room_id`), entrance, field: `${field}.room_id` };
  });
  if (identity.tenant === undefined && rooms.length > 0) {
    throw fail("FIELD_INVALID", "a room belongs to a tenant, and the token to none", { field: "rooms" });
  }
  const twice = wishes.find(({ room }, index) => wishes.findIndex((other) => other.room === room) < index);
  if (twice)
    throw fail("FIELD_INVALID", "the room is named twice; name it once, with one mode", { field: twice.field });
  return wishes;
}

function refusal(roomId: string, status: Status, error: unknown): RoomOutcome {
  const known = error instanceof ConnectError ? error : fail("INTERNAL", "internal error", { cause: error });
  const { code, rawMessage: message } = known;
  return { roomId, status, reason: reasonOf(known) ?? "", message, code: codeName(code) };
}
