/**
 * Applies the events of the streams to the positions, the badge, the online count, the listeners and the loops. Sees
 * one unbroken sequence of events, whatever streams they came from.
 */
import type { Clock } from "../../ports/clock.ts";
import type { OnlineState, Position, StreamEvent, TidingsEvent } from "../events.ts";
import { failure, type TidingsError } from "../tidings-error.ts";
import { Badge } from "./badge.ts";
import { Deliveries } from "./deliveries.ts";
import { Listeners } from "./listeners.ts";
import { Variable } from "./observable.ts";
import { PositionSaver, type PositionStorage } from "./position-saver.ts";
import { Positions } from "./positions.ts";
import { isRoomFeed, type RoomJoins } from "./rooms.ts";

/** The dependencies of an intake. */
export interface IntakeOptions {
  readonly rooms: RoomJoins;
  readonly storage?: PositionStorage | undefined;
  readonly clock: Clock;
  /** The capacity of the queue of one loop. */
  readonly queueLimit: number;
  /** Called when every loop has consumed its queue. */
  readonly drained: () => void;
  /** Called when the caller left a loop before its end. */
  readonly left: () => void;
}

/** The receiving side of one client. */
export class Intake<M> {
  /** The listeners of on(). */
  readonly listeners = new Listeners<M>();
  /** The unread totals. */
  readonly badge = new Badge(this.listeners.threw);
  /** The tenant's online count. */
  readonly online = new Variable<OnlineState | undefined>(undefined, this.listeners.threw);
  /** The loops over events(). */
  readonly deliveries: Deliveries<TidingsEvent<M>>;
  /** The positions received: they identify duplicates, and the next stream starts there. */
  readonly #received = new Positions();
  /** The positions that the caller has consumed: these are saved. */
  readonly #consumed = new Positions();
  readonly #saver: PositionSaver;
  readonly #rooms: RoomJoins;

  constructor({ rooms, storage, clock, queueLimit, drained, left }: IntakeOptions) {
    this.#rooms = rooms;
    this.deliveries = new Deliveries(queueLimit, { consumed: (positions) => this.#consume(positions), drained, left });
    this.#saver = new PositionSaver({
      storage,
      clock,
      positions: () => this.#followed(this.#consumed),
      failed: (cause) => this.listeners.fail(failure("unknown", "storage", cause)),
    });
  }

  /** Reads the saved positions. */
  async load(): Promise<void> {
    const positions = await this.#saver.load();
    this.#received.advance(positions);
    this.#consumed.advance(positions);
  }

  /** The positions at which the next stream starts. */
  positions(): Position[] {
    return this.#followed(this.#received);
  }

  /**
   * Leaves a room and forgets its position, so that the next join starts anew; false for a room that was not asked for.
   */
  leave(roomId: string): boolean {
    const feed = this.#rooms.leave(roomId);
    if (feed === undefined) return false;
    this.#received.forget(feed);
    this.#consumed.forget(feed);
    this.#saver.changed();
    return true;
  }

  /** Takes one event. Ignores those that a newer server may send. */
  take(event: StreamEvent<M>) {
    switch (event.type) {
      case "hello":
        this.badge.hello(event.unread);
        if (event.online) this.online.set(event.online);
        return this.#give({ type: event.type, subscriptionId: event.subscriptionId }, this.#startOf(event.positions));
      case "message":
        return this.#takeMessage(event);
      case "readState":
        this.badge.readState(event.unread);
        return this.#give(event);
      case "online":
        this.online.set({ users: event.users, connections: event.connections });
        return this.#give(event);
      case "caughtUp":
        this.badge.caughtUp();
        return this.#give({ type: event.type }, event.positions);
      case "gap":
        return this.#give(event, event.to && [event.to]);
      case "room":
        return ["joined", "refused", "kicked"].includes(event.status) && this.#give(this.#rooms.apply(event));
      case "heartbeat":
        this.#received.advance(event.positions);
        return this.deliveries.pass(event.positions);
    }
  }

  /** Forgets the positions, which the server does not know, and gives a `reset` event. */
  reset(reason: string): void {
    this.#received.forget();
    this.#consumed.forget();
    this.deliveries.forgetPositions();
    this.#saver.changed();
    this.#give({ type: "reset", reason });
  }

  /** Saves the consumed positions at once: the page may be gone soon. */
  flush(): void {
    this.#saver.flush();
  }

  /** Ends all loops, with an error by throwing it there, and saves the consumed positions. */
  close(error: TidingsError | undefined): void {
    this.deliveries.end(error);
    this.#saver.close();
  }

  /** The positions that the server accepts: it refuses those of feeds that the stream does not follow. */
  #followed(positions: Positions): Position[] {
    return positions.list().filter(({ feed }) => this.#rooms.follows(feed));
  }

  /**
   * The positions of Hello that count as received. Not those of a room that was joined without a position: the server
   * replays messages of that room from before its Hello position, and these are no duplicates.
   */
  #startOf(positions: readonly Position[]): Position[] {
    return positions.filter(({ feed }) => !isRoomFeed(feed) || this.#received.has(feed));
  }

  #takeMessage({ message, position, category, notification }: StreamEvent<M> & { type: "message" }) {
    if (!position) return this.#give({ type: "message", message });
    if (this.#received.includes(position)) return;
    if (notification) this.badge.notification(category);
    this.#give({ type: "message", message }, [position]);
  }

  /** Calls the listeners before the loops get the event, so that a loop sees the effects of the listeners. */
  #give(event: TidingsEvent<M>, positions: readonly Position[] = []): void {
    this.#received.advance(positions);
    this.listeners.emit(event);
    this.deliveries.push(event, positions);
  }

  #consume(positions: readonly Position[]): void {
    if (positions.length === 0) return;
    this.#consumed.advance(positions);
    this.#saver.changed();
  }
}
