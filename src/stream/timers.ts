import type { Clock, Timer } from "../ports/clock.ts";

/** What a stream does when a time has come. */
export interface TimerActions {
  /** It was silent for the heartbeat interval. */
  beat(): void;
  /** A message that it counted has expired. */
  messageExpired(): void;
  /** Its token has expired. */
  tokenExpired(): void;
  /** Its reader took nothing for `stallMs`. */
  stalled(): void;
}

/** All times that one stream waits for, on one timer: under load it is not touched, however many messages pass. */
export class Timers {
  readonly #clock: Clock;
  readonly #actions: TimerActions;
  readonly #heartbeatMs: number;
  readonly #stallMs: number;
  #tokenExpiry: number;
  #messageExpiry = Number.POSITIVE_INFINITY;
  /** When the last frame went out, and whether the transport still has it. */
  #lastSent: number;
  #sending = false;
  #timer: Timer | undefined;
  #due = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(
    clock: Clock,
    { heartbeatMs, stallMs, tokenExpiry }: { heartbeatMs: number; stallMs: number; tokenExpiry: number },
    actions: TimerActions,
  ) {
    this.#clock = clock;
    this.#actions = actions;
    this.#heartbeatMs = heartbeatMs;
    this.#stallMs = stallMs;
    this.#tokenExpiry = tokenExpiry;
    this.#lastSent = clock.now();
    this.#arm();
  }

  /** The transport has not taken what it was handed. */
  get waiting(): boolean {
    return this.#sending;
  }

  /** A frame was handed to the transport. */
  sending(): void {
    this.#sending = true;
    this.#lastSent = this.#clock.now();
    if (this.#lastSent + this.#stallMs < this.#due) this.#arm();
  }

  /** The transport took what it was handed. */
  sent(): void {
    this.#sending = false;
    this.#lastSent = this.#clock.now();
    // The timer may stand at the end of a longer stall.
    if (this.#lastSent + this.#heartbeatMs < this.#due) this.#arm();
  }

  /** A counted message expires then. */
  messageExpires(time: number): void {
    if (time >= this.#messageExpiry) return;
    this.#messageExpiry = time;
    if (time < this.#due) this.#arm();
  }

  /** A fresh token ends then. */
  extendToken(time: number): void {
    this.#tokenExpiry = time;
    this.#arm();
  }

  /** Nothing happens any more. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    this.#timer?.cancel();
    if (this.#closed) return;
    const silence = this.#lastSent + (this.#sending ? this.#stallMs : this.#heartbeatMs);
    this.#due = Math.min(silence, this.#tokenExpiry, this.#messageExpiry);
    this.#timer = this.#clock.after(this.#due - this.#clock.now(), () => this.#check());
  }

  #check(): void {
    const now = this.#clock.now();
    if (now >= this.#tokenExpiry) {
      this.#tokenExpiry = Number.POSITIVE_INFINITY;
      this.#actions.tokenExpired();
    }
    if (now >= this.#messageExpiry) {
      this.#messageExpiry = Number.POSITIVE_INFINITY;
      this.#actions.messageExpired();
    }
    if (this.#sending && now >= this.#lastSent + this.#stallMs) {
      this.#actions.stalled();
      return;
    }
    // A clock that was set back says nothing of the silence, and timers run on: better a beat too many than none for hours.
    const setBack = now < this.#lastSent;
    if (setBack) this.#lastSent = now;
    if (!this.#sending && (setBack || now >= this.#lastSent + this.#heartbeatMs)) {
      this.#lastSent = now;
      this.#actions.beat();
    }
    this.#arm();
  }
}
