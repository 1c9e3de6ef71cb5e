/**
 * Drives the state machine: opens and drops streams, keeps the one timer, asks for tokens, and decides what the end of a
 * stream means. Knows neither Protobuf nor JSON nor sockets.
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

/** How long the token function may take, in ms. */
export const tokenTimeoutMs = 30_000;

/** How long a stream may take to its Hello, in ms. */
export const helloTimeoutMs = 10_000;

/** What a session works with. */
export interface SessionOptions<M> {
  readonly open: OpenStream<M>;
  readonly token: TokenSource;
  readonly storage: PositionStorage | undefined;
  /** What the stream enters. */
  readonly rooms: RoomJoins;
  /** How many events may wait for one loop over events(). */
  readonly queueLimit: number;
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly fraction: () => number;
}

/** One client's subscription, through any number of streams. */
export class Session<M> {
  /** Where events go. */
  readonly intake: Intake<M>;
  /** The token in use, shared with unary calls. */
  readonly tokens: Tokens;
  readonly #options: SessionOptions<M>;
  readonly #state = new Variable<TidingsState>("idle");
  readonly #closing = new AbortController();
  readonly #unwatchPage: () => void;

  #machine: Machine = initialMachine;
  #timer: Timer | undefined;
  #drop: (() => void) | undefined;
  /** The stream's token. */
  #token = "";
  /** The rooms have changed since the stream was opened. */
  #outdated = false;
  /** When the stream said Hello; unset: not yet. */
  #helloAt: number | undefined;
  #heardAt = 0;
  /** How long silence is endured, in ms; 0: for ever. */
  #silenceMs = 0;
  /** The kind of trouble that the caller knows of. */
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
    // Not before the caller has added its listeners.
    void Promise.resolve()
      .then(() => this.intake.load())
      .then(() => this.#dispatch({ type: "start" }));
  }

  /** Where the connection is. */
  get state(): Observable<TidingsState> {
    return this.#state;
  }

  /** Aborted when the session is closed. */
  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  /** Enters a room. Throws a RangeError for an id or a mode that no server takes. */
  join(roomId: string, mode?: JoinMode): void {
    if (this.#options.rooms.join(roomId, mode)) this.#resubscribe();
  }

  /** Leaves a room. */
  leave(roomId: string): void {
    if (this.intake.leave(roomId)) this.#resubscribe();
  }

  /** Ends everything; harmless when repeated. */
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
    // Last, and what is true by now: a listener may have closed the session in between.
    this.#state.set(this.#machine.state);
  }

  /** Does what a state stands for. */
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
        return this.#overdue("the stream did not begin within 10 s");
      case "replaying":
      case "live":
        return this.#checkSilence();
      default:
        return this.#dispatch({ type: "timer" });
    }
  }

  /** The watchdog is set once and looks back when it fires, rather than being set again by every event. */
  #checkSilence() {
    if (this.#silenceMs <= 0) return;
    const left = this.#heardAt + this.#silenceMs - this.#options.clock.now();
    if (left <= 0) return this.#overdue("the stream was silent for two heartbeats");
    this.#timer?.cancel();
    this.#arm(left);
  }

  #overdue(sentence: string): void {
    this.#dispatch({ type: "timer", ...this.#uptime() }, new TidingsError("deadline_exceeded", sentence));
  }

  #wake(): void {
    const { state } = this.#machine;
    // After a sleep the timer is late, the clock is not.
    if (state === "replaying" || state === "live") this.#checkSilence();
    else this.#dispatch({ type: "wake" });
  }

  #authorize(): void {
    const turn = this.#machine;
    this.tokens.get().then(
      (token) => {
        if (turn !== this.#machine) return;
        this.#token = token;
        this.#dispatch({ type: "token" });
      },
      (cause: unknown) => {
        if (turn !== this.#machine) return;
        this.#dispatch({ type: "failed" }, new TidingsError("unavailable", `token: ${sentenceOf(cause)}`, { cause }));
      },
    );
  }

  #open(): void {
    this.#outdated = false;
    const request = {
      token: this.#token,
      positions: this.intake.positions(),
      rooms: this.#options.rooms.list(),
    };
    this.#drop = this.#options.open(request, {
      event: (event) => this.#hear(event),
      end: (error) => this.#ended(error),
    });
  }

  /** A stream that has not begun is left to: dropping it would look as if its way did not get through. */
  #resubscribe(): void {
    this.#outdated = true;
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

  #hear(event: StreamEvent<M>) {
    this.#heardAt = this.#options.clock.now();
    if (event.type === "goAway") {
      return this.#dispatch({ type: "later", afterMs: event.reconnectAfterMs, ...this.#uptime() });
    }
    // Nothing counts before Hello, and there is one Hello.
    if ((this.#machine.state === "connecting") !== (event.type === "hello")) return;
    if (event.type === "hello") {
      this.#helloAt = this.#heardAt;
      this.#silenceMs = 2 * event.heartbeatMs;
    } else if (event.type !== "heartbeat" && this.intake.deliveries.full) {
      // Not taken, so the next stream sends it again.
      return this.#dispatch({ type: "overflow" });
    }
    this.intake.take(event);
    // After the event, so that whoever sees the state finds the totals that belong to it.
    if (event.type === "hello" || event.type === "caughtUp") this.#dispatch({ type: event.type });
    if (event.type === "hello" && this.#outdated) this.#resubscribe();
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

  /** Tells the caller of trouble when it begins and when its kind changes, not at every attempt. */
  #report(state: TidingsState, error: TidingsError): void {
    // A token that grew old is replaced without a word.
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
