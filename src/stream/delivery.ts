import type { UserIdentity } from "../auth/identity.ts";
import { type Filter, passes } from "../feeds/filter.ts";
import type { Decision, RingBatch } from "../feeds/ring-batch.ts";
import type { ReadState } from "../inbox/read-state.ts";
import type { Frame, MessageFrame } from "../wire/frame.ts";
import type { Alerted } from "./alerts.ts";
import type { StreamContext } from "./context.ts";
import type { FollowedFeed } from "./followed-feeds.ts";
import type { StreamTotals } from "./totals.ts";

const none: readonly Frame[] = [];

/** Decides which frames of its feeds one stream sends, which of them alert, and reports each message to the totals. */
export class Delivery {
  readonly #context: Pick<StreamContext, "settings" | "streams" | "alerts" | "filters">;
  readonly #user: UserIdentity | undefined;
  /** Undefined lets everything through. */
  readonly #filter: Filter | undefined;
  readonly #totals: StreamTotals;
  /** Undefined for a service, which nothing alerts. */
  readonly #alerted: Alerted | undefined;
  /**
   * Set during a replay: messages that the user has deleted are not sent again, and those that the user has read do not
   * alert.
   */
  replayState: ReadState | undefined;

  constructor(
    context: Pick<StreamContext, "settings" | "streams" | "alerts" | "filters">,
    user: UserIdentity | undefined,
    filter: Filter,
    totals: StreamTotals,
  ) {
    this.#context = context;
    this.#user = user;
    this.#filter = context.filters.of(filter);
    this.#totals = totals;
    this.#alerted = user && context.alerts.enter(user);
  }

  /** The stream has closed. */
  close(): void {
    if (this.#user) this.#context.alerts.leave(this.#user);
  }

  /** The frames to send, which count as delivered. */
  wanted(followed: FollowedFeed, frames: readonly MessageFrame[]): readonly Frame[] {
    const wanted = this.#pick(followed, frames);
    this.#context.streams.delivered += wanted.length;
    return wanted;
  }

  /**
   * The frames of a batch to send, which count as delivered: the shared decision for the filter, with the alerts of this user.
   * Undefined where the stream differs from others in more than that, and has to read the ring itself.
   */
  ofBatch(followed: FollowedFeed, batch: RingBatch): readonly Frame[] | undefined {
    if (!followed.shown || this.replayState) return undefined;
    const decision = batch.decide(this.#filter, this.#context.settings.clock);
    if (!decision || !this.#totals.countBatch(followed, batch, decision)) return undefined;
    const wanted = this.#withAlerts(followed, decision);
    this.#context.streams.delivered += wanted.length;
    return wanted;
  }

  #withAlerts(followed: FollowedFeed, decision: Decision): readonly Frame[] {
    const { alertable, now } = decision;
    const [first] = alertable;
    if (first === undefined) return decision.plain;
    if (alertable.length === 1) return this.#alerts(followed, first, now) ? decision.alerting : decision.plain;
    const alerting = alertable.filter((frame) => this.#alerts(followed, frame, now));
    if (alerting.length === alertable.length) return decision.alerting;
    return alerting.length === 0 ? decision.plain : decision.withAlerts(alerting);
  }

  /** The cursor has come to `seq` without a frame, because the messages in between are expired. */
  passed(followed: FollowedFeed, seq: number): void {
    this.#totals.passed(followed, seq);
  }

  #pick(followed: FollowedFeed, frames: readonly MessageFrame[]): readonly Frame[] {
    const [first] = frames;
    if (first === undefined) return frames;
    const now = this.#context.settings.clock.now();
    if (frames.length === 1) return this.#form(followed, first, now)?.alone ?? none;
    const wanted: Frame[] = [];
    for (const frame of frames) {
      const form = this.#form(followed, frame, now);
      if (form) wanted.push(form);
    }
    return wanted;
  }

  /** The form in which this reader gets a frame: plain or alerting; undefined for not at all. */
  #form(followed: FollowedFeed, frame: MessageFrame, now: number): Frame | undefined {
    this.#totals.passed(followed, frame.seq);
    if (frame.recalled || frame.expireTime <= now) return undefined;
    if (this.replayState?.deleted(followed.cursor.feed.name).has(frame.seq)) return undefined;
    const isShown = followed.shown && (this.#filter === undefined || passes(this.#filter, frame.summary));
    this.#totals.count(followed, frame, isShown);
    if (!isShown) return undefined;
    return this.#alerts(followed, frame, now) ? frame.alerting : frame;
  }

  /** Whether this page, of all pages of its user, is the one that alerts for the message. */
  #alerts(followed: FollowedFeed, frame: MessageFrame, now: number): boolean {
    if (!this.#user || !this.#alerted) return false;
    const { name } = followed.cursor.feed;
    if (this.replayState?.read(name).has(frame.seq)) return false;
    followed.alerted ??= this.#context.alerts.ofFeed(this.#alerted, name);
    return this.#context.alerts.take(followed.alerted, this.#user, frame, now);
  }
}
