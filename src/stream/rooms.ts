import { Code, ConnectError } from "@connectrpc/connect";
import { type RoomJoin, RoomMode, RoomState_Status as Status } from "../../gen/tidings/v1/push_service_pb.ts";
import { type Identity, isUser } from "../auth/identity.ts";
import { codeName, fail, reasonOf } from "../errors.ts";
import type { Connection, JoinMode } from "../ports/presence.ts";
import { forbidden } from "../rooms/access.ts";
import { requireRoom } from "../rooms/grants.ts";
import type { StreamContext } from "./context.ts";

/** What happened to a room on a stream: the content of its room event. */
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
  /** Called when `take` has something. */
  wake(): void;
  /** Called when the stream has lost a room, at once. */
  lost(room: string): void;
}

/** A room that the client asked for. */
interface RequestedRoom {
  /** The canonical id. */
  readonly room: string;
  readonly mode: JoinMode;
  /** The path of the field that names it, for errors. */
  readonly field: string;
}

const modes: Readonly<Record<RoomMode, JoinMode>> = {
  [RoomMode.UNSPECIFIED]: "any",
  [RoomMode.ANY]: "any",
  [RoomMode.FIRST]: "first",
  [RoomMode.LAST]: "last",
};

/**
 * The rooms of one stream: it enters those that the caller may enter and that nobody else holds, and reports each outcome,
 * now or later. A room is lost when another stream takes it, or a fresh token does not open it.
 */
export class StreamRooms {
  readonly #context: RoomsContext;
  readonly #connection: Connection;
  readonly #instance: string;
  readonly #requested: readonly RequestedRoom[];
  readonly #stream: RoomsOwner;
  /** Rooms that are entered or being entered, so that a kick in between finds the room. */
  readonly #entered = new Map<string, RequestedRoom>();
  #identity: Identity;
  #outcomes: RoomOutcome[] = [];
  #closed = false;

  /** Throws FIELD_INVALID for rooms that no rights could open: a malformed id, or a room that is named twice. */
  constructor(
    context: RoomsContext,
    identity: Identity,
    { id, rooms, instanceId }: { id: string; rooms: readonly RoomJoin[]; instanceId: string },
    stream: RoomsOwner,
  ) {
    this.#context = context;
    this.#identity = identity;
    this.#connection = { id, tenant: identity.tenant ?? "", user: identity.subject };
    this.#instance = instanceId;
    this.#requested = checkRooms(identity, rooms);
    this.#stream = stream;
  }

  /** The rooms that the client asked for. */
  get requested(): readonly string[] {
    return this.#requested.map(({ room }) => room);
  }

  /** Whether the stream is in the room, or entering it. */
  holds(room: string): boolean {
    return this.#entered.has(room);
  }

  /**
   * Enters the rooms about which the answer is known, and resolves to their outcomes. The hook is asked about the others
   * meanwhile, and `take` returns their outcomes, so that a slow hook does not hold up the stream.
   */
  async start(): Promise<readonly RoomOutcome[]> {
    const { access } = this.#context;
    const known = this.#requested.map(({ room, mode }) => access.known(this.#identity, room, "join", mode));
    const open = this.#requested.filter((_, index) => known[index]);
    // Where the store cannot write, the rooms are refused one by one, and the stream opens without them.
    const enrolling = this.#enroll(open.filter(enrollsFirst));
    await enrolling.catch(() => {});
    this.#requested.forEach((requested, index) => {
      if (known[index] === undefined) void this.#later(requested);
    });
    const decided = this.#requested.filter((_, index) => known[index] !== undefined);
    const outcomes = await Promise.all(
      decided.map((requested) => this.#settle(requested, async () => this.#enter(requested, await enrolling))),
    );
    return outcomes.filter((outcome) => this.#isCurrent(outcome));
  }

  /** Whether `take` has something. */
  get hasOutcomes(): boolean {
    return this.#outcomes.length > 0;
  }

  /** The outcomes since the last call. */
  take(): readonly RoomOutcome[] {
    const outcomes = this.#outcomes;
    this.#outcomes = [];
    return outcomes;
  }

  /** Another connection took the room. */
  kick(room: string): void {
    const requested = this.#entered.get(room);
    if (!requested) return;
    this.#lose(requested, fail("ROOM_TAKEN", "someone else has taken the room", { field: requested.field }));
  }

  /** Leaves the rooms that a fresh token does not open. */
  async recheck(identity: Identity): Promise<void> {
    this.#identity = identity;
    const entered = [...this.#entered.values()];
    const kept = await this.#context.access.kept(
      identity,
      entered.map(({ room }) => room),
    );
    const lost = entered.filter(({ room }) => this.#entered.has(room) && !kept.includes(room));
    for (const requested of lost) this.#lose(requested, forbidden("join", requested.field));
    await Promise.all(lost.map(({ room }) => this.#context.presence.leave(this.#connection, room)));
  }

  /** Enters no more rooms; joins in flight are undone. */
  close(): void {
    this.#closed = true;
  }

  async #later(requested: RequestedRoom): Promise<void> {
    const { room, mode, field } = requested;
    const outcome = await this.#settle(requested, async () => {
      await this.#context.access.check(this.#identity, room, "join", field, mode);
      await this.#enter(requested, await this.#enroll([requested].filter(enrollsFirst)));
    });
    if (!this.#isCurrent(outcome)) return;
    this.#outcomes.push(outcome);
    this.#stream.wake();
  }

  async #settle({ room }: RequestedRoom, enter: () => Promise<void>): Promise<RoomOutcome> {
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

  async #enter(requested: RequestedRoom, unenrolled: readonly string[]): Promise<void> {
    const { room, mode, field } = requested;
    // Check again after the awaits: a closed stream must not take a room, and a fresh token may open less.
    if (this.#closed) throw fail("STREAM_CLOSED", "the client closed the stream");
    if (this.#context.access.known(this.#identity, room, "join", mode) === false) throw forbidden("join", field, mode);
    if (unenrolled.includes(room)) throw tooMany(field);
    this.#entered.set(room, requested);
    if (!isUser(this.#identity)) return;
    try {
      await this.#join(requested);
    } catch (error) {
      this.#entered.delete(room);
      throw error;
    }
  }

  async #join(requested: RequestedRoom): Promise<void> {
    const { room, mode, field } = requested;
    const { presence } = this.#context;
    const joined = await presence.join({ connection: this.#connection, room, mode, instance: this.#instance });
    if (!joined) throw fail("ROOM_TAKEN", "someone else is in the room", { field });
    const isFull = !enrollsFirst(requested) && (await this.#enroll([requested])).length > 0;
    // The stream was closed, or lost the room, while it joined: staying would leak the membership.
    if (isFull || this.#closed || !this.#entered.has(room)) await presence.leave(this.#connection, room);
    if (isFull) throw tooMany(field);
  }

  /** Puts the rooms into the user's inbox; resolves to those for which it has no capacity. */
  async #enroll(requested: readonly RequestedRoom[]): Promise<readonly string[]> {
    if (!isUser(this.#identity) || requested.length === 0) return [];
    const rooms = requested.map(({ room }) => room);
    return this.#context.states.enroll(this.#identity.tenant, this.#identity.subject, rooms);
  }

  #lose({ room }: RequestedRoom, error: unknown): void {
    this.#entered.delete(room);
    this.#stream.lost(room);
    this.#outcomes.push(refusal(room, Status.KICKED, error));
    this.#stream.wake();
  }

  /** Whether a join still holds: a stream that lost the room while it entered has an outcome that says so already. */
  #isCurrent({ roomId, status }: RoomOutcome): boolean {
    return status !== Status.JOINED || this.#entered.has(roomId);
  }
}

/** Whether the room is put into the inbox before it is joined. By `first`, somebody may be in it, and the user stays out. */
function enrollsFirst({ mode }: RequestedRoom): boolean {
  return mode !== "first";
}

function tooMany(field: string): Error {
  return fail("TOO_MANY_ROOMS", "the inbox holds too many rooms with unread messages; read one of them first", {
    field,
  });
}

function checkRooms(identity: Identity, rooms: readonly RoomJoin[]): RequestedRoom[] {
  const requested = rooms.map((join, index) => {
    const field = `rooms[${index}]`;
    const mode = modes[join.mode] ?? "any";
    if (!isUser(identity) && mode !== "any") {
      throw fail("FIELD_INVALID", "only a user's page can have a room to itself", { field: `${field}.mode` });
    }
    return { room: requireRoom(join.roomId, `${field}.room_id`), mode, field: `${field}.room_id` };
  });
  if (identity.tenant === undefined && rooms.length > 0) {
    throw fail("FIELD_INVALID", "a room belongs to a tenant, and the token to none", { field: "rooms" });
  }
  const again = requested.find(({ room }, index) => requested.findIndex((other) => other.room === room) < index);
  if (!again) return requested;
  throw fail("FIELD_INVALID", "the room is named twice; name it once, with one mode", { field: again.field });
}

function refusal(roomId: string, status: Status, error: unknown): RoomOutcome {
  const known = error instanceof ConnectError ? error : fail("INTERNAL", "internal error", { cause: error });
  const { code, rawMessage: message } = known;
  return { roomId, status, reason: reasonOf(known) ?? "", message, code: codeName(code) };
}

/** Whether the stream is in the room now. */
export function isJoined({ status }: RoomOutcome): boolean {
  return status === Status.JOINED;
}
