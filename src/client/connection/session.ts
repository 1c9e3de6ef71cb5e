/**
 * Drives the state machine: opens and drops streams, owns the one timer, gets tokens, and classifies the end of a
 * stream. Independent of Protobuf, JSON and sockets.
 */
import type { Clock, Random, Timer } from "../../ports/clock.ts";
import type { JoinMode, OpenedStream, OpenStream, StreamEvent } from "../events.ts";
import { Intake } from "../state/intake.ts";
import { Variable } from "../state/observable.ts";
import type { PositionStorage } from "../state/position-saver.ts";
import type { RoomJoins } from "../state/rooms.ts";
import { failure, isTerminal, refusesPositions, TidingsError } from "../tidings-error.ts";
import { type Input, initialMachine, type Machine, step } from "./machine.ts";
import { watchPage } from "./page.ts";
import { type TokenSource, Tokens } from "./tokens.ts";
import type { TidingsState } from "./transitions.ts";

/** The deadline of the token function, in ms. */
export const tokenTimeoutMs = 30_000;

/** The deadline of a stream's Hello, in ms. */
export const helloTimeoutMs = 10_000;

/** The deadline of the answer to a probe, in ms: with the back-off, a dead stream is replaced within 3 s. */
export const probeTimeoutMs = 2_500;

/** The dependencies of a session. */
export interface SessionOptions<M> {
  readonly open: OpenStream<M>;
  readonly token: TokenSource;
  readonly storage?: PositionStorage | undefined;
  /** The rooms that the streams join. */
  readonly rooms: RoomJoins;
  /** The capacity of the queue of one loop over events(). */
  readonly queueLimit: number;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
}

/** The subscription of one client, over any number of streams. */
export class Session<M> {
  /** Receives the events. */
  readonly intake: Intake<M>;
  /** The state of the connection. */
  readonly state: Variable<TidingsState>;
  /** The token in use, which unary calls share. */
  readonly tokens: Tokens;
  readonly #options: SessionOptions<M>;
  readonly #closing = new AbortController();
  /** Aborted when the session is closed. */
  readonly signal = this.#closing.signal;
  readonly #loaded: Promise<void>;

  #machine: Machine = initialMachine;
  #timer: Timer | undefined;
  #stream: OpenedStream | undefined;
  /** The token of the current stream. */
  #token = "";
  /** The rooms have changed since the stream was opened. */
  #roomsChanged = false;
  /** When the Hello of the current stream arrived; undefined before that. */
  #helloAt: number | undefined;
  /** The longest silence of a stream before it counts as dead, in ms. */
  #silenceMs = 0;
  /** When the next event is overdue: at the end of a silence, or of the time to answer a probe. */
  #eventBy = 0;
  /** The state whose error was reported last; undefined since the client was live. */
  #reported: TidingsState | undefined;

  constructor(options: SessionOptions<M>) {
    this.#options = options;
    this.tokens = new Tokens(options.token);
    this.intake = new Intake({
      ...options,
      drained: () => this.#dispatch("drained"),
      left: () => this.close(),
    });
    this.state = new Variable<TidingsState>("idle", this.intake.listeners.threw);
    watchPage(
      {
        wake: (moved) => this.#wake(moved),
        leave: () => this.intake.flush(),
        hide: () => this.#dispatch("hide"),
      },
      this.signal,
    );
    // Asynchronously, so that the caller can add its listeners first.
    this.#loaded = Promise.resolve().then(() => this.intake.load());
    void this.#loaded.then(() => this.#dispatch("start"));
  }

  /** Joins a room. Throws a TypeError or a RangeError for an id or a mode that no server accepts. */
  join(roomId: string, mode?: JoinMode): void {
    if (this.#options.rooms.join(roomId, mode)) this.#resubscribe();
  }

  /** Leaves a room. */
  leave(roomId: string): void {
    if (this.intake.leave(roomId)) this.#resubscribe();
  }

  /** Ends the stream, the timer, the loops and the calls. Does nothing when repeated. */
  close(): void {
    this.#dispatch("close");
  }

  #dispatch(type: Input["type"], error?: TidingsError, afterMs = 0): void {
    const before = this.#machine;
    const uptimeMs = this.#helloAt === undefined ? 0 : this.#options.clock.now() - this.#helloAt;
    const after = step(before, { type, uptimeMs, afterMs }, () => this.#options.random.fraction());
    if (after === before) return;
    this.#machine = after;
    this.#enter(after);
    if (after.state === "live") this.#reported = undefined;
    if (error !== undefined) this.#report(after.state, error);
    if (after.state === "closed") {
      this.#closing.abort();
      this.intake.close(error);
    }
    // Last, and from the field: a listener may have closed the session meanwhile.
    this.state.set(this.#machine.state);
  }

  /** Performs the actions of a state. */
  #enter({ state, delayMs }: Machine) {
    this.#timer?.cancel();
    this.#timer = undefined;
    switch (state) {
      case "connecting":
        this.#arm(helloTimeoutMs);
        return this.#open();
      case "replaying":
      case "live":
        return this.#checkSilence();
      case "authorizing":
        this.#dropStream();
        this.#arm(tokenTimeoutMs);
        return this.#authorize();
      case "waiting":
      case "held":
      case "unauthorized":
        this.#dropStream();
        return this.#arm(delayMs);
      default:
        return this.#dropStream();
    }
  }

  #arm(milliseconds: number): void {
    this.#timer = this.#options.clock.after(milliseconds, () => this.#timedOut());
  }

  #timedOut() {
    switch (this.#machine.state) {
      case "authorizing":
        this.tokens.abandon();
        return this.#overdue("no token came within 30 s");
      case "connecting":
        return this.#overdue("no Hello came within 10 s");
      case "replaying":
      case "live":
        return this.#checkSilence();
      default:
        return this.#dispatch("timer");
    }
  }

  /** Arms the watchdog of the stream. It looks back at the last event, so that an event does not have to arm it. */
  #checkSilence() {
    const left = this.#eventBy - this.#options.clock.now();
    if (left <= 0) return this.#overdue("no event came in time");
    this.#timer?.cancel();
    this.#arm(left);
  }

  #overdue(sentence: string): void {
    this.#dispatch("timer", new TidingsError("deadline_exceeded", sentence));
  }

  /** `moved`: the network may be another one, which an old connection does not survive. */
  #wake(moved: boolean) {
    if (this.#helloAt === undefined) return this.#dispatch("wake");
    if (this.#stream?.probe()) this.#eventBy = Math.min(this.#eventBy, this.#options.clock.now() + probeTimeoutMs);
    else if (moved) return this.#dispatch("failed");
    // After the machine slept, the timer is late and the clock is right.
    this.#checkSilence();
  }

  #authorize(): void {
    // The same object unless another input came first; then this token is late.
    const expected = this.#machine;
    // A page that was hidden while its positions were read comes here before they are known.
    this.#loaded
      .then(() => this.tokens.get())
      .then(
        (token) => {
          if (expected !== this.#machine) return;
          this.#token = token;
          this.#dispatch("token");
        },
        (cause: unknown) => {
          if (expected !== this.#machine) return;
          this.#dispatch("failed", failure("unavailable", "token", cause));
        },
      );
  }

  #open(): void {
    this.#roomsChanged = false;
    const request = {
      token: this.#token,
      positions: this.intake.positions(),
      rooms: this.#options.rooms.list(),
    };
    const stream = this.#options.open(request, {
      event: (event) => stream === this.#stream && this.#receive(event),
      end: (error) => stream === this.#stream && this.#ended(error),
    });
    this.#stream = stream;
  }

  /**
   * Opens another stream for the changed rooms. A stream without a Hello is left to finish: dropping it would count as
   * a failure of its transport.
   */
  #resubscribe(): void {
    this.#roomsChanged = true;
    this.#dispatch("resubscribe");
  }

  #dropStream(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#helloAt = undefined;
    stream?.drop();
  }

  #receive(event: StreamEvent<M>) {
    const { type } = event;
    const now = this.#options.clock.now();
    if (type === "goAway") return this.#dispatch("later", undefined, event.reconnectAfter);
    // Ignore events before Hello, and a second Hello.
    if ((this.#machine.state === "connecting") !== (type === "hello")) return;
    if (type === "hello") {
      this.#helloAt = now;
      this.#silenceMs = 2 * (event.heartbeatInterval ?? 0) || Number.POSITIVE_INFINITY;
    } else if (type !== "heartbeat" && this.intake.deliveries.full) {
      // Discard the event: the next stream starts before it.
      return this.#dispatch("overflow");
    }
    this.#eventBy = now + this.#silenceMs;
    this.intake.take(event);
    // Change the state after the event, so that an observer of the state finds the totals that belong to it.
    if (type === "hello" || type === "caughtUp") this.#dispatch(type);
    if (type === "hello" && this.#roomsChanged) this.#resubscribe();
  }

  #ended(error: TidingsError) {
    if (refusesPositions(error)) {
      this.intake.reset(error.reason ?? "");
      return this.#dispatch("reset");
    }
    if (error.code === "unauthenticated") {
      this.tokens.refuse(this.#token);
      return this.#dispatch("unauthenticated", error);
    }
    if (isTerminal(error)) return this.#dispatch("rejected", error);
    this.#dispatch(error.retryAfterMs === undefined ? "failed" : "later", error, error.retryAfterMs);
  }

  /** Reports an error when trouble begins and when its kind changes, not at every attempt. */
  #report(state: TidingsState, error: TidingsError): void {
    // An expired token is replaced; that is no error.
    if (state === "authorizing") return;
    const kind = state === "held" ? "waiting" : state;
    if (kind === this.#reported) return;
    this.#reported = kind;
    this.intake.listeners.fail(error);
  }
}
