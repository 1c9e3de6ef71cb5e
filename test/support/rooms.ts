/** Rooms in tests: who may enter them, and what streams are told of them. */
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

/** Joins of rooms, in one mode. */
export function joins(mode: RoomMode, ...rooms: string[]): { rooms: { roomId: string; mode: RoomMode }[] } {
  return { rooms: rooms.map((roomId) => ({ roomId, mode })) };
}

/** What a stream was told of rooms, such as `joined a` and `refused b already_exists`. */
export function roomEvents(reader: Reader): string[] {
  return reader.all("room").map(({ roomId, status, code }) => [names[status], roomId, code].join(" ").trim());
}

/** Events in their order, rooms with their status. */
export function story(reader: Reader): string[] {
  return reader.events.map((event) => (event.case === "room" ? (names[event.value.status] ?? "") : (event.case ?? "")));
}

/** Waits until a stream was told what became of so many rooms. */
export async function told(reader: Reader, count = 1): Promise<string[]> {
  await reader.until(() => reader.all("room").length >= count);
  return roomEvents(reader);
}

/** A hook in the test's hands: questions wait until they are answered; what was answered is remembered. */
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

  /** Answers all who ask about the room, now and later. */
  answer(room: string, allow: boolean, { user = "ann", action = "join" as RoomQuestion["action"] } = {}): void {
    const key = keyOf({ tenant: "acme", user, room, action });
    this.#answers.set(key, allow);
    this.#waiting.get(key)?.resolve(allow);
    this.#waiting.delete(key);
  }

  /** Cannot tell all who ask now. */
  breakDown(): void {
    for (const { reject } of this.#waiting.values()) reject(fail("AUTHORIZE_UNAVAILABLE", "the hook is down"));
    this.#waiting.clear();
  }
}

function keyOf({ tenant, user, room, action }: RoomQuestion): string {
  return [tenant, user, room, action].join("\n");
}

/** Presence that takes its time: `before` and `after` are waited for around each join. */
export class SlowPresence extends MemoryPresence {
  before: () => Promise<unknown> = async () => {};
  after: () => Promise<unknown> = async () => {};

  override async join(seat: Membership): Promise<boolean> {
    await this.before();
    const joined = await super.join(seat);
    await this.after();
    return joined;
  }
}
