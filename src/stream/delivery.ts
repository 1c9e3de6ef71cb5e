import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import type { UserIdentity } from "../auth/identity.ts";
import type { Totals } from "../inbox/inbox.ts";
import type { ReadChange } from "../inbox/read-change.ts";
import type { ReadState } from "../inbox/read-state.ts";
import type { Frame, MessageFrame } from "../wire/frame.ts";
import type { Alerted } from "./alerts.ts";
import type { StreamContext } from "./context.ts";
import { type Filter, isOpen, passes } from "./filter.ts";
import type { FollowedFeed, FollowedFeeds } from "./followed-feeds.ts";
import type { Timers } from "./timers.ts";

const none: readonly Frame[] = [];

/** What a stream sends of its feeds' frames, and what they do to the totals that its reader keeps. */
export class Delivery {
  readonly #context: StreamContext;
  readonly #user: UserIdentity | undefined;
  /** Undefined lets everything through. */
  readonly #filter: Filter | undefined;
  readonly #change: ReadChange;
  readonly #deadlines: Timers;
  readonly #rung: Alerted;
  #replayed: ReadState | undefined;

  /** Notes in `change` when new totals are due. */
  constructor(
    context: StreamContext,
    user: UserIdentity | undefined,
    filter: Filter,
    { change, deadlines }: { change: ReadChange; deadlines: Timers },
  ) {
    this.#context = context;
    this.#user = user;
    this.#filter = isOpen(filter) ? undefined : filter;
    this.#change = change;
    this.#deadlines = deadlines;
    this.#rung = user ? context.alerts.of(user) : new Map();
  }

  /** During the replay: what the user has deleted is not sent again, and what the user has read does not ring. */
  set replayed(state: ReadState | undefined) {
    this.#replayed = state;
  }

  /** The reader is told these totals. */
  tell(totals: Totals, follows: FollowedFeeds): void {
    totals.feeds.forEach(({ name }, index) => {
      const followed = follows.get(name);
      if (!followed) return;
      followed.counted = totals.bounds[index]?.seq ?? 0;
      followed.oldest = totals.oldest[index] ?? Number.POSITIVE_INFINITY;
    });
    this.#deadlines.messageExpires(totals.nextExpiry);
  }

  /** Frames that pass the filter and have not expired; they count as delivered. */
  wanted(followed: FollowedFeed, frames: readonly MessageFrame[]): readonly Frame[] {
    const wanted = this.#pick(followed, frames);
    this.#context.streams.delivered += wanted.length;
    return wanted;
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

  /** The stream has come to here. A full feed drops its oldest message with each new one, whatever became of that. */
  moved(followed: FollowedFeed, seq: number): void {
    const dropped = seq - this.#context.settings.retention.count;
    if (seq > followed.counted && dropped >= followed.oldest) this.#change.totalsOnly();
  }

  /** How this reader gets a frame, if at all. */
  #form(followed: FollowedFeed, frame: MessageFrame, now: number): Frame | undefined {
    this.moved(followed, frame.seq);
    if (frame.recalled || frame.expireTime <= now) return undefined;
    if (this.#replayed?.deleted(followed.cursor.feed.name).has(frame.seq)) return undefined;
    const shows = followed.shown && (this.#filter === undefined || passes(this.#filter, frame.message));
    if (frame.seq > followed.counted) this.#recount(followed, frame, shows);
    // The reader counts what it sees, though the room has lost its place in the inbox.
    else if (shows && !followed.isCounted && this.#user && frame.message.kind === Kind.NOTIFICATION)
      this.#change.totalsOnly();
    if (!shows) return undefined;
    return this.#rings(followed, frame, now) ? frame.alerting : frame;
  }

  /** Sees to new totals where the reader's own counting, one more for each notification, would go wrong. */
  #recount(followed: FollowedFeed, { seq, expireTime, message }: MessageFrame, shows: boolean): void {
    if (message.kind !== Kind.NOTIFICATION) return;
    followed.oldest = Math.min(followed.oldest, seq);
    this.#deadlines.messageExpires(expireTime);
    // The reader cannot count what it does not see.
    if (!shows) this.#change.totalsOnly();
  }

  /** Whether this page is the one of its user's that makes itself heard. */
  #rings(followed: FollowedFeed, frame: MessageFrame, now: number): boolean {
    if (!this.#user) return false;
    const { name } = followed.cursor.feed;
    if (this.#replayed?.read(name).has(frame.seq)) return false;
    followed.alerted ??= this.#context.alerts.ofFeed(this.#rung, name);
    return this.#context.alerts.take(followed.alerted, this.#user, frame, now);
  }
}
