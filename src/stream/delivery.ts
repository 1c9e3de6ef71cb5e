import type { SubscribeRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import type { UserIdentity } from "../auth/identity.ts";
import type { ReadState } from "../inbox/read-state.ts";
import type { Frame, MessageFrame, MessageSummary } from "../wire/frame.ts";
import type { Alerted } from "./alerts.ts";
import type { StreamContext } from "./context.ts";
import type { FollowedFeed } from "./followed-feeds.ts";
import type { StreamTotals } from "./totals.ts";

const none: readonly Frame[] = [];

/** What a stream asked for; an empty list lets everything through. */
type Filter = Pick<SubscribeRequest, "kinds" | "categories" | "events">;

/** Decides which frames of its feeds one stream sends, which of them alert, and reports each message to the totals. */
export class Delivery {
  readonly #context: Pick<StreamContext, "settings" | "streams" | "alerts">;
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
    context: Pick<StreamContext, "settings" | "streams" | "alerts">,
    user: UserIdentity | undefined,
    filter: Filter,
    totals: StreamTotals,
  ) {
    this.#context = context;
    this.#user = user;
    const { kinds, categories, events } = filter;
    // Not the whole request, which holds positions and rooms as well.
    this.#filter = isOpen(filter) ? undefined : { kinds, categories, events };
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

function isOpen({ kinds, categories, events }: Filter): boolean {
  return kinds.length + categories.length + events.length === 0;
}

function passes({ kinds, categories, events }: Filter, { kind, category, event }: MessageSummary): boolean {
  return (
    (kinds.length === 0 || kinds.includes(kind)) &&
    (categories.length === 0 || categories.includes(category)) &&
    (events.length === 0 || events.includes(event))
  );
}
