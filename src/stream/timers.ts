import { type Clock, elapsedOn, type Timer } from "../ports/clock.ts";

/** What a stream does when one of its timers fires. */
export interface TimerActions {
  /** Nothing was sent for the heartbeat interval. */
  beat(): void;
  /** A message that the reader's totals count has expired. */
  messageExpired(): void;
  /** The stream's token has expired. */
  tokenExpired(): void;
  /** The reader took nothing for `stallMs`. */
  stalled(): void;
  /** One of these calls threw. */
  failed?(error: unknown): void;
}

/**
 * Every time that one stream waits for, on a single timer of the clock. Under load that timer is not touched, however many
 * messages pass: it fires early and is set again.
 */
export class Timers {
  readonly #clock: Clock;
  readonly #actions: TimerActions;
  readonly #heartbeatMs: number;
  readonly #stallMs: number;
  #tokenExpiry: number;
  #messageExpiry = Number.POSITIVE_INFINITY;
  /** When the transport was last handed a frame, or took one; as `#due`, in the clock's elapsed time. */
  #lastProgress: number;
  #isSending = false;
  #timer: Timer | undefined;
  #due = Number.POSITIVE_INFINITY;
  #closed = false;

  /** Durations are in milliseconds, `tokenExpiry` in milliseconds since the Unix epoch. */
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
    this.#lastProgress = elapsedOn(clock);
    this.#arm();
  }

  /** Whether the transport is full, and has not drained since. */
  get isSending(): boolean {
    return this.#isSending;
  }

  /** The transport was handed frames and is full. */
  sending(): void {
    this.#isSending = true;
    this.#lastProgress = elapsedOn(this.#clock);
    if (this.#lastProgress + this.#stallMs < this.#due) this.#arm();
  }

  /** The transport took every frame that it was handed. */
  sent(): void {
    this.#isSending = false;
    this.#lastProgress = elapsedOn(this.#clock);
    // The timer may be set to the end of a stall, which is later.
    if (this.#lastProgress + this.#heartbeatMs < this.#due) this.#arm();
  }

  /** A counted message expires at `time`; of several, the earliest counts. */
  messageExpires(time: number): void {
    if (time >= this.#messageExpiry) return;
    this.#messageExpiry = time;
    if (elapsedOn(this.#clock) + time - this.#clock.now() < this.#due) this.#arm();
  }

  /** A fresh token expires at `time`. */
  extendToken(time: number): void {
    this.#tokenExpiry = time;
    this.#arm();
  }

  /** Cancels the timer; nothing fires afterwards. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    this.#timer?.cancel();
    if (this.#closed) return;
    const silence = this.#lastProgress + (this.#isSending ? this.#stallMs : this.#heartbeatMs);
    const elapsed = elapsedOn(this.#clock);
    const expiry = Math.min(this.#tokenExpiry, this.#messageExpiry) - this.#clock.now();
    this.#due = Math.min(silence, elapsed + expiry);
    this.#timer = this.#clock.after(this.#due - elapsed, () => this.#fire());
  }

  /** An error is this stream's own: in the callback of a timer it would end the process. */
  #fire(): void {
    try {
      this.#check();
    } catch (error) {
      if (!this.#actions.failed) throw error;
      this.#actions.failed(error);
    }
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
    const elapsed = elapsedOn(this.#clock);
    if (this.#isSending && elapsed >= this.#lastProgress + this.#stallMs) {
      this.#actions.stalled();
      return;
    }
    if (!this.#isSending && elapsed >= this.#lastProgress + this.#heartbeatMs) {
      this.#lastProgress = elapsed;
      this.#actions.beat();
    }
    this.#arm();
  }
}
