/**
 * Takes what streams say to where it belongs: positions, badge, online count, listeners and loops. Sees one unbroken
 * sequence of events; which stream they came from is the session's business.
 */
import type { Clock } from "../../ports/clock.ts";
import type { OnlineState, Position, StreamEvent, TidingsEvent } from "../events.ts";
import { sentenceOf, TidingsError } from "../tidings-error.ts";
import { Badge } from "./badge.ts";
import { Deliveries } from "./deliveries.ts";
import { Listeners } from "./listeners.ts";
import { Variable } from "./observable.ts";
import { PositionSaver, type PositionStorage } from "./position-saver.ts";
import { Positions } from "./positions.ts";
import { isRoomFeed, type RoomJoins } from "./rooms.ts";

/** What an intake works with. */
export interface IntakeOptions {
  readonly rooms: RoomJoins;
  readonly storage: PositionStorage | undefined;
  readonly clock: Clock;
  /** How many events may wait for one loop. */
  readonly queueLimit: number;
  /** Every loop has consumed what it was given. */
  readonly drained: () => void;
  /** A loop was left early. */
  readonly left: () => void;
}

/** The receiving side of one client. */
export class Intake<M> {
  /** The unread totals. */
  readonly badge = new Badge();
  /** The tenant's online count. */
  readonly online = new Variable<OnlineState | undefined>(undefined);
  /** The callbacks. */
  readonly listeners = new Listeners<M>();
  /** The loops. */
  readonly deliveries: Deliveries<TidingsEvent<M>>;
  /** How far messages came in: what tells duplicates, and where the next stream starts. */
  readonly #received = new Positions();
  /** How far the caller has consumed them: what is kept. */
  readonly #consumed = new Positions();
  readonly #keeper: PositionSaver;
  readonly #rooms: RoomJoins;

  constructor({ rooms, storage, clock, queueLimit, drained, left }: IntakeOptions) {
    this.#rooms = rooms;
    this.deliveries = new Deliveries(queueLimit, { consumed: (positions) => this.#consume(positions), drained, left });
    this.#keeper = new PositionSaver({
      storage,
      clock,
      positions: () => this.#followed(this.#consumed),
      failed: (cause) => this.listeners.fail(new TidingsError("unknown", `storage: ${sentenceOf(cause)}`, { cause })),
    });
  }

  /** Reads the kept positions. */
  async load(): Promise<void> {
    const positions = await this.#keeper.load();
    this.#received.advance(positions);
    this.#consumed.advance(positions);
  }

  /** Where the next stream starts. */
  positions(): Position[] {
    return this.#followed(this.#received);
  }

  /** Forgets a room, so that it is entered as a new one the next time; false if it was not asked for. */
  leave(roomId: string): boolean {
    const feed = this.#rooms.leave(roomId);
    if (feed === undefined) return false;
    this.#received.forget(feed);
    this.#consumed.forget(feed);
    this.#keeper.changed();
    return true;
  }

  /** Takes one event. */
  take(event: StreamEvent<M>) {
    switch (event.type) {
      case "hello":
        this.badge.hello(event.unread);
        if (event.online !== undefined) this.online.set(event.online);
        return this.#give({ type: "hello", subscriptionId: event.subscriptionId }, this.#begun(event.positions));
      case "message":
        return this.#takeMessage(event);
      case "readState":
        this.badge.readState(event.unread);
        return this.#give(event, []);
      case "online":
        this.online.set({ users: event.users, connections: event.connections });
        return this.#give(event, []);
      case "caughtUp":
        this.badge.caughtUp();
        return this.#give({ type: "caughtUp" }, event.positions);
      case "gap":
        return this.#give(event, event.to === undefined ? [] : [event.to]);
      case "room":
        return this.#give(this.#rooms.hear(event), []);
      case "heartbeat":
        this.#received.advance(event.positions);
        return this.deliveries.pass(event.positions);
      case "goAway":
      case "unknown":
        return;
    }
  }

  /** The server does not know the positions: forgets them and says so. */
  reset(reason: string): void {
    this.#received.forget();
    this.#consumed.forget();
    this.deliveries.forgetPositions();
    this.#keeper.changed();
    this.#give({ type: "reset", reason }, []);
  }

  /** Saves at once: the page may be gone soon. */
  flush(): void {
    this.#keeper.flush();
  }

  /** Ends all loops, with an error by throwing it, and saves. */
  close(error: TidingsError | undefined): void {
    this.deliveries.end(error);
    this.#keeper.close();
  }

  /** What the server takes: it refuses places of feeds that a stream does not follow. */
  #followed(positions: Positions): Position[] {
    return positions.list().filter(({ feed }) => this.#rooms.follows(feed));
  }

  /** Of a room that is entered without a place, events from before its head are yet to come: they are no duplicates. */
  #begun(positions: readonly Position[]): Position[] {
    return positions.filter(({ feed }) => !isRoomFeed(feed) || this.#received.has(feed));
  }

  #takeMessage({ message, position, category, notification }: StreamEvent<M> & { type: "message" }) {
    if (position === undefined) return this.#give({ type: "message", message }, []);
    if (this.#received.includes(position)) return;
    if (notification) this.badge.notification(category);
    this.#give({ type: "message", message }, [position]);
  }

  /** To listeners first: when a loop gets the event, their work is done. */
  #give(event: TidingsEvent<M>, positions: readonly Position[]): void {
    this.#received.advance(positions);
    this.listeners.tell(event);
    this.deliveries.push(event, positions);
  }

  #consume(positions: readonly Position[]): void {
    if (positions.length === 0) return;
    this.#consumed.advance(positions);
    this.#keeper.changed();
  }
}
