/** Rooms in tests: members, a fake hook, and the room events of streams. */
import { type RoomMode, RoomState_Status as Status } from "../../gen/tidings/v1/push_service_pb.ts";
import { MemoryPresence } from "../../src/adapters/memory/presence.ts";
import type { UserIdentity } from "../../src/auth/identity.ts";
import { fail } from "../../src/errors.ts";
import type { Membership } from "../../src/ports/presence.ts";
import type { Authorize, RoomQuestion } from "../../src/rooms/access.ts";
import { userOf } from "./core.ts";
import type { Reader } from "./reader.ts";

const names: Readonly<Record<Status, string>> = {
  [Status.UNSPECIFIED]: "",
  [Status.JOINED]: "joined",
  [Status.REFUSED]: "refused",
  [Status.KICKED]: "kicked",
};

/** A user of acme whose token opens these rooms. */
export function member(subject: string, rooms: readonly string[] = [], claims: Partial<UserIdentity> = {}) {
  return { ...userOf("acme", subject), rooms, ...claims };
}

/** A request to join rooms, all in one mode. */
export function joins(mode: RoomMode, ...rooms: string[]): { rooms: { roomId: string; mode: RoomMode }[] } {
  return { rooms: rooms.map((roomId) => ({ roomId, mode })) };
}

/** The room events of a stream, such as `joined a` and `refused b already_exists`. */
export function roomEvents(reader: Reader): string[] {
  return reader.all("room").map(({ roomId, status, code }) => [names[status], roomId, code].join(" ").trim());
}

/** The cases of a stream's events in order, with the status instead of `room`. */
export function story(reader: Reader): string[] {
  return reader.events.map((event) => (event.case === "room" ? (names[event.value.status] ?? "") : (event.case ?? "")));
}

/** Waits until a stream has `count` room events, and returns them. */
export async function untilRooms(reader: Reader, count = 1): Promise<string[]> {
  await reader.until(() => reader.all("room").length >= count);
  return roomEvents(reader);
}

/** A hook whose questions wait until the test answers them. It remembers the answers. */
export class FakeHook implements Authorize {
  readonly asked: RoomQuestion[] = [];
  readonly #answers = new Map<string, boolean>();
  readonly #waiting = new Map<string, PromiseWithResolvers<boolean>>();

  known(question: RoomQuestion): boolean | undefined {
    return this.#answers.get(keyOf(question));
  }

  async ask(question: RoomQuestion): Promise<boolean> {
    const known = this.known(question);
    if (known !== undefined) return known;
    this.asked.push(question);
    const key = keyOf(question);
    const waiting = this.#waiting.get(key) ?? Promise.withResolvers<boolean>();
    this.#waiting.set(key, waiting);
    return waiting.promise;
  }

  /** Answers the questions about a room, those that wait and later ones. */
  answer(room: string, allow: boolean, rest: Partial<RoomQuestion> = {}): void {
    const key = keyOf({ tenant: "acme", user: "ann", room, action: "join", ...rest });
    this.#answers.set(key, allow);
    this.#waiting.get(key)?.resolve(allow);
    this.#waiting.delete(key);
  }

  /** Fails the questions that wait. */
  breakDown(): void {
    for (const { reject } of this.#waiting.values()) reject(fail("AUTHORIZE_UNAVAILABLE", "the hook is down"));
    this.#waiting.clear();
  }
}

function keyOf({ tenant, user, room, action, mode = "any" }: RoomQuestion): string {
  return [tenant, user, room, action, mode].join("\n");
}

/** Presence that awaits `before` and `after` around each join. */
export class SlowPresence extends MemoryPresence {
  before: () => Promise<unknown> = async () => {};
  after: () => Promise<unknown> = async () => {};

  override async join(membership: Membership): Promise<boolean> {
    await this.before();
    const joined = await super.join(membership);
    await this.after();
    return joined;
  }
}
