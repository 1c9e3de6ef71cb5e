import { ConnectError } from "@connectrpc/connect";
import { type RoomJoin, RoomMode, RoomState_Status as Status } from "../gen/tidings/v1/push_service_pb.ts";
import { codeName, fail } from "./errors.ts";
import { type Identity, isUser } from "./identity.ts";
import type { Node } from "./node.ts";
import type { Connection, Entrance } from "./presence.ts";
import { forbidden } from "./room-access.ts";
import { requireRoom } from "./rooms.ts";

/** What became of a room on a stream. */
export interface RoomOutcome {
  readonly roomId: string;
  readonly status: Status;
  readonly reason: string;
  readonly code: string;
}

/** A room that a stream asked for. */
interface Wish {
  readonly room: string;
  readonly entrance: Entrance;
  /** The path of its field. */
  readonly field: string;
}

const entrances: Readonly<Record<RoomMode, Entrance>> = {
  [RoomMode.UNSPECIFIED]: "any",
  [RoomMode.ANY]: "any",
  [RoomMode.FIRST]: "first",
  [RoomMode.LAST]: "last",
};

/** The rooms of one stream: whether it may enter, whether somebody else is in, and who takes them away. */
export class StreamRooms {
  readonly #node: Node;
  readonly #connection: Connection;
  readonly #instance: string;
  readonly #wishes: readonly Wish[];
  readonly #wake: () => void;
  readonly #entered = new Map<string, Wish>();
  #identity: Identity;
  #outcomes: RoomOutcome[] = [];
  #closed = false;

  /** Throws for a room that no rights could open: a malformed id, one named twice. `wake` is called when `take` has something. */
  constructor(
    node: Node,
    identity: Identity,
    { id, rooms, instanceId }: { id: string; rooms: readonly RoomJoin[]; instanceId: string },
    wake: () => void,
  ) {
    this.#node = node;
    this.#identity = identity;
    this.#connection = { id, tenant: identity.tenant ?? "", user: identity.subject };
    this.#instance = instanceId;
    this.#wishes = toWishes(identity, rooms);
    this.#wake = wake;
  }

  /** The rooms that were asked for. */
  get wished(): readonly string[] {
    return this.#wishes.map(({ room }) => room);
  }

  /** Enters what the token opens; what has to be asked for comes by `take`, so that a slow answer holds up nothing. */
  async start(): Promise<readonly RoomOutcome[]> {
    const { access } = this.#node;
    const known = this.#wishes.map((wish) => access.known(this.#identity, wish.room, "join"));
    const open = this.#wishes.filter((_, index) => known[index]);
    const refused = await this.#enroll(open.map(({ room }) => room));
    this.#wishes.forEach((wish, index) => {
      if (known[index] === undefined) void this.#later(wish);
    });
    return Promise.all(
      this.#wishes
        .filter((_, index) => known[index] !== undefined)
        .map((wish) => this.#settle(wish, () => this.#enter(wish, open.includes(wish), refused))),
    );
  }

  /** What has happened since. */
  take(): readonly RoomOutcome[] {
    const outcomes = this.#outcomes;
    this.#outcomes = [];
    return outcomes;
  }

  /** Another connection took the room. */
  kick(room: string): void {
    if (this.#entered.delete(room)) this.#lose(room, fail("ROOM_TAKEN", "someone else has taken the room"));
  }

  /** A fresh token may open less; answers the rooms that are lost. */
  async recheck(identity: Identity): Promise<readonly string[]> {
    this.#identity = identity;
    const lost: string[] = [];
    for (const { room, field } of [...this.#entered.values()]) {
      // A hook that cannot be asked does not take back what it gave.
      if (await this.#node.access.may(identity, room, "join").catch(() => true)) continue;
      if (!this.#entered.delete(room)) continue;
      await this.#node.presence.leave(this.#connection, room);
      this.#lose(room, forbidden("join", field));
      lost.push(room);
    }
    return lost;
  }

  /** What is under way ends without effect. */
  close(): void {
    this.#closed = true;
  }

  async #later(wish: Wish): Promise<void> {
    const outcome = await this.#settle(wish, async () => {
      const may = await this.#node.access.may(this.#identity, wish.room, "join");
      await this.#enter(wish, may, may ? await this.#enroll([wish.room]) : []);
    });
    this.#outcomes.push(outcome);
    this.#wake();
  }

  async #settle({ room }: Wish, enter: () => Promise<void>): Promise<RoomOutcome> {
    try {
      await enter();
      return { roomId: room, status: Status.JOINED, reason: "", code: "" };
    } catch (error) {
      if (!(error instanceof ConnectError)) this.#node.settings.logger?.error({ err: error }, "entering a room failed");
      return refusal(room, Status.REFUSED, error);
    }
  }

  async #enter(wish: Wish, may: boolean, unenrolled: readonly string[]): Promise<void> {
    const { room, entrance, field } = wish;
    if (!may) throw forbidden("join", field);
    if (unenrolled.includes(room)) {
      const sentence = "the inbox holds too many rooms with unread messages; read one of them first";
      throw fail("TOO_MANY_ROOMS", sentence, { field });
    }
    if (isUser(this.#identity)) {
      const seat = { connection: this.#connection, room, entrance, instance: this.#instance };
      const joined = await this.#node.presence.join(seat);
      if (!joined) throw fail("ROOM_TAKEN", "someone else is in the room", { field });
      // It ended meanwhile, and nobody would leave.
      if (this.#closed) await this.#node.presence.leave(this.#connection, room);
    }
    this.#entered.set(room, wish);
  }

  async #enroll(rooms: readonly string[]): Promise<readonly string[]> {
    if (!isUser(this.#identity) || rooms.length === 0) return [];
    return this.#node.states.enroll(this.#identity.tenant, this.#identity.subject, rooms);
  }

  #lose(room: string, error: unknown): void {
    this.#outcomes.push(refusal(room, Status.KICKED, error));
    this.#wake();
  }
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
  return { roomId, status, reason: known.rawMessage, code: codeName(known.code) };
}
