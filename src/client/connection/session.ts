/**
 * Drives the state machine: opens and drops streams, owns the one timer, gets tokens, and classifies the end of a
 * stream. Independent of Protobuf, JSON and sockets.
 */
import type { Clock, Timer } from "../../ports/clock.ts";
import type { JoinMode, OpenStream, StreamEvent } from "../events.ts";
import { Intake } from "../state/intake.ts";
import { type Observable, Variable } from "../state/observable.ts";
import type { PositionStorage } from "../state/position-saver.ts";
import type { RoomJoins } from "../state/rooms.ts";
import { isTerminal, refusesPositions, sentenceOf, TidingsError } from "../tidings-error.ts";
import { type Input, initialMachine, type Machine, step } from "./machine.ts";
import { watchPage } from "./page.ts";
import { type TokenSource, Tokens } from "./tokens.ts";
import type { TidingsState } from "./transitions.ts";

/** The deadline of the token function, in ms. */
export const tokenTimeoutMs = 30_000;

/** The deadline of a stream's Hello, in ms. */
export const helloTimeoutMs = 10_000;

/** The dependencies of a session. */
export interface SessionOptions<M> {
  readonly open: OpenStream<M>;
  readonly token: TokenSource;
  readonly storage: PositionStorage | undefined;
  /** The rooms that the streams join. */
  readonly rooms: RoomJoins;
  /** The capacity of the queue of one loop over events(). */
  readonly queueLimit: number;
  readonly clock: Clock;
  /** Returns numbers in [0, 1). */
  readonly fraction: () => number;
}

/** The subscription of one client, over any number of streams. */
export class Session<M> {
  /** Receives the events. */
  readonly intake: Intake<M>;
  /** The token in use, which unary calls share. */
  readonly tokens: Tokens;
  readonly #options: SessionOptions<M>;
  readonly #state = new Variable<TidingsState>("idle");
  readonly #closing = new AbortController();
  readonly #unwatchPage: () => void;

  #machine: Machine = initialMachine;
  #timer: Timer | undefined;
  #drop: (() => void) | undefined;
  /** The token of the current stream. */
  #token = "";
  /** The rooms have changed since the stream was opened. */
  #roomsChanged = false;
  /** When the Hello of the current stream arrived; undefined before that. */
  #helloAt: number | undefined;
  #lastEventAt = 0;
  /** The longest silence of a stream before it counts as dead, in ms; 0: unlimited. */
  #silenceMs = 0;
  /** The state whose error was reported last; undefined since the client was live. */
  #reported: TidingsState | undefined;

  constructor(options: SessionOptions<M>) {
    this.#options = options;
    this.tokens = new Tokens(options.token);
    this.intake = new Intake({
      rooms: options.rooms,
      storage: options.storage,
      clock: options.clock,
      queueLimit: options.queueLimit,
      drained: () => this.#dispatch({ type: "drained" }),
      left: () => this.close(),
    });
    this.#unwatchPage = watchPage({ wake: () => this.#wake(), leave: () => this.intake.flush() });
    // Asynchronously, so that the caller can add its listeners first.
    void Promise.resolve()
      .then(() => this.intake.load())
      .then(() => this.#dispatch({ type: "start" }));
  }

  /** The state of the connection. */
  get state(): Observable<TidingsState> {
    return this.#state;
  }

  /** Aborted when the session is closed. */
  get signal(): AbortSignal {
    return this.#closing.signal;
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
    this.#dispatch({ type: "close" });
  }

  #dispatch(input: Input, error?: TidingsError): void {
    const before = this.#machine;
    const after = step(before, input, this.#options.fraction);
    if (after === before) return;
    this.#machine = after;
    this.#enter(after);
    if (after.state === "live") this.#reported = undefined;
    if (error !== undefined) this.#report(after.state, error);
    if (after.state === "closed") this.#finish(error);
    // Last, and from the field: a listener may have closed the session meanwhile.
    this.#state.set(this.#machine.state);
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
        if (this.#silenceMs > 0) this.#arm(this.#silenceMs);
        return;
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
        return this.#overdue("token: the token function took longer than 30 s");
      case "connecting":
        return this.#overdue("the server sent no Hello within 10 s");
      case "replaying":
      case "live":
        return this.#checkSilence();
      default:
        return this.#dispatch({ type: "timer" });
    }
  }

  /** The watchdog looks back at the last event when it fires, so that an event does not have to reset the timer. */
  #checkSilence() {
    if (this.#silenceMs <= 0) return;
    const left = this.#lastEventAt + this.#silenceMs - this.#options.clock.now();
    if (left <= 0) return this.#overdue("the stream was silent for two heartbeat intervals");
    this.#timer?.cancel();
    this.#arm(left);
  }

  #overdue(sentence: string): void {
    this.#dispatch({ type: "timer", ...this.#uptime() }, new TidingsError("deadline_exceeded", sentence));
  }

  #wake(): void {
    const { state } = this.#machine;
    // After the machine slept, the timer is late and the clock is right.
    if (state === "replaying" || state === "live") this.#checkSilence();
    else this.#dispatch({ type: "wake" });
  }

  #authorize(): void {
    // The same object unless another input came first; then this token is late.
    const expected = this.#machine;
    this.tokens.get().then(
      (token) => {
        if (expected !== this.#machine) return;
        this.#token = token;
        this.#dispatch({ type: "token" });
      },
      (cause: unknown) => {
        if (expected !== this.#machine) return;
        this.#dispatch({ type: "failed" }, new TidingsError("unavailable", `token: ${sentenceOf(cause)}`, { cause }));
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
    this.#drop = this.#options.open(request, {
      event: (event) => this.#receive(event),
      end: (error) => this.#ended(error),
    });
  }

  /**
   * Opens another stream for the changed rooms. A stream without a Hello is left to finish: dropping it would count as
   * a failure of its transport.
   */
  #resubscribe(): void {
    this.#roomsChanged = true;
    this.#dispatch({ type: "resubscribe", ...this.#uptime() });
  }

  #dropStream(): void {
    const drop = this.#drop;
    this.#drop = undefined;
    this.#helloAt = undefined;
    drop?.();
  }

  #uptime(): { uptimeMs?: number } {
    return this.#helloAt === undefined ? {} : { uptimeMs: this.#options.clock.now() - this.#helloAt };
  }

  #receive(event: StreamEvent<M>) {
    this.#lastEventAt = this.#options.clock.now();
    if (event.type === "goAway") {
      return this.#dispatch({ type: "later", afterMs: event.reconnectAfterMs, ...this.#uptime() });
    }
    // Ignore events before Hello, and a second Hello.
    if ((this.#machine.state === "connecting") !== (event.type === "hello")) return;
    if (event.type === "hello") {
      this.#helloAt = this.#lastEventAt;
      this.#silenceMs = 2 * event.heartbeatMs;
    } else if (event.type !== "heartbeat" && this.intake.deliveries.full) {
      // Discard the event: the next stream starts before it.
      return this.#dispatch({ type: "overflow" });
    }
    this.intake.take(event);
    // Change the state after the event, so that an observer of the state finds the totals that belong to it.
    if (event.type === "hello" || event.type === "caughtUp") this.#dispatch({ type: event.type });
    if (event.type === "hello" && this.#roomsChanged) this.#resubscribe();
  }

  #ended(error: TidingsError) {
    const uptime = this.#uptime();
    if (refusesPositions(error)) {
      this.intake.reset(error.reason ?? "");
      return this.#dispatch({ type: "reset" });
    }
    if (error.code === "unauthenticated") {
      this.tokens.refuse(this.#token);
      return this.#dispatch({ type: "unauthenticated", ...uptime }, error);
    }
    if (isTerminal(error)) return this.#dispatch({ type: "rejected" }, error);
    if (error.retryAfterMs === undefined) return this.#dispatch({ type: "failed", ...uptime }, error);
    this.#dispatch({ type: "later", afterMs: error.retryAfterMs, ...uptime }, error);
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

  #finish(error: TidingsError | undefined): void {
    this.#unwatchPage();
    this.#closing.abort();
    this.intake.close(error);
  }
}
