/**
 * Takes what streams say to where it belongs: positions, badge, online count, listeners and loops. Sees one unbroken
 * sequence of events; which stream they came from is the session's business.
 */
import type { Clock } from "../clock.ts";
import { Badge } from "./badge.ts";
import { Deliveries } from "./deliveries.ts";
import type { OnlineState, Position, StreamEvent, TidingsEvent } from "./events.ts";
import { Keeper, type PositionStorage } from "./keeper.ts";
import { Listeners } from "./listeners.ts";
import { Variable } from "./observable.ts";
import { Positions } from "./positions.ts";
import { sentenceOf, TidingsError } from "./tidings-error.ts";

/** What an intake works with. */
export interface IntakeOptions {
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
  readonly #keeper: Keeper;

  constructor({ storage, clock, queueLimit, drained, left }: IntakeOptions) {
    this.deliveries = new Deliveries(queueLimit, { consumed: (positions) => this.#consume(positions), drained, left });
    this.#keeper = new Keeper({
      storage,
      clock,
      positions: () => this.#consumed.list(),
      failed: (cause) => this.listeners.fail(new TidingsError("unknown", `storage: ${sentenceOf(cause)}`, { cause })),
    });
  }

  /** Reads the kept positions; `rooms`: the rooms that the stream joins. */
  async load(rooms: readonly string[]): Promise<void> {
    const positions = await this.#keeper.load(rooms);
    this.#received.advance(positions);
    this.#consumed.advance(positions);
  }

  /** Where the next stream starts. */
  positions(): Position[] {
    return this.#received.list();
  }

  /** Takes one event. */
  take(event: StreamEvent<M>) {
    switch (event.type) {
      case "hello":
        this.badge.hello(event.unread);
        if (event.online !== undefined) this.online.set(event.online);
        return this.#give({ type: "hello", subscriptionId: event.subscriptionId }, event.positions);
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
        return this.#give(event, []);
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
    this.#received.clear();
    this.#consumed.clear();
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
