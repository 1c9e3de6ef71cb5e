import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import type { Clock } from "../ports/clock.ts";
import { notificationKind, unbounded } from "../ports/store.ts";
import { guard, warn } from "../util/guard.ts";
import type { Flushable, FlushQueue } from "../wire/flush-queue.ts";
import type { Frame, MessageFrame } from "../wire/frame.ts";
import { type Filter, passes } from "./filter.ts";
import { maxTakenBytes, type Ring } from "./ring.ts";

/** A stream that waits for a batch. */
export interface BatchMember {
  /** Called at the end of the event-loop tick, also for a stream that has closed or left the batch meanwhile. */
  deliver(batch: RingBatch): void;
  /** Called with the error that `deliver` threw. */
  failed(error: unknown): void;
}

/** What a batch has for all streams with the same filter. */
export class Decision {
  /** The frames to send where none alerts. The same array for all streams, so that they share its joined bytes. */
  readonly plain: readonly Frame[];
  /** The frames of `plain` that may alert; stream/alerts.ts decides for each user. */
  readonly alertable: readonly MessageFrame[];
  /** The seq of the first stored notification, whether or not it is sent; `unbounded` for none. */
  readonly firstNotification: number;
  /** When the first stored notification expires, in ms since the Unix epoch; Infinity for never. */
  readonly expireTime: number;
  /** Whether a notification is not sent. */
  readonly hidesNotification: boolean;
  /** Whether a notification is sent. */
  readonly showsNotification: boolean;
  /** The time of the decision, in ms since the Unix epoch. */
  readonly now: number;
  readonly #share: (frames: readonly Frame[]) => readonly Frame[];
  #alerting: readonly Frame[] | undefined;

  /** `share` makes the streams that send these frames share their joined bytes. */
  constructor(
    all: readonly MessageFrame[],
    filter: Filter | undefined,
    now: number,
    share: (frames: readonly Frame[]) => readonly Frame[],
  ) {
    this.now = now;
    const frames = all.filter(({ recalled, expireTime }) => !recalled && expireTime > now);
    const shown = filter ? frames.filter(({ summary }) => passes(filter, summary)) : frames;
    const notifications = frames.filter(isNotification);
    const stored = notifications.filter(({ seq }) => seq !== 0);
    this.plain = share(shown);
    this.alertable = shown.filter(mayAlert);
    this.firstNotification = stored[0]?.seq ?? unbounded;
    this.expireTime = stored.reduce((first, { expireTime }) => Math.min(first, expireTime), Number.POSITIVE_INFINITY);
    const sent = shown.filter(isNotification).length;
    this.showsNotification = sent > 0;
    this.hidesNotification = sent < notifications.length;
    this.#share = share;
  }

  /** The frames to send where every one of `alertable` alerts; the same array for all streams. */
  get alerting(): readonly Frame[] {
    this.#alerting ??= this.#share(this.withAlerts(this.alertable));
    return this.#alerting;
  }

  /** The frames to send where these alert. */
  withAlerts(alerting: readonly MessageFrame[]): readonly Frame[] {
    const all: ReadonlySet<Frame> = new Set(alerting);
    return this.plain.map((frame) => (all.has(frame) ? (frame as MessageFrame).alerting : frame));
  }
}

/**
 * The frames that a ring gets in one event-loop tick, for the streams that have taken everything before and have nothing else
 * to do. At the end of the tick, the batch decides once per filter which frames these streams send.
 */
export class RingBatch implements Flushable {
  readonly #ring: Ring;
  readonly #flushQueue: Pick<FlushQueue, "share">;
  readonly #closed: () => void;
  readonly #members: BatchMember[] = [];
  readonly #decisions = new Map<Filter | undefined, Decision>();
  readonly #slot: number;
  #seq: number | undefined;
  #end = 0;
  #lastSeq = 0;
  /** Undefined before `flush`, and where each stream has to read the ring itself. */
  #frames: readonly MessageFrame[] | undefined;

  /** Create it before the first frame of the tick is pushed. `closed` is called when it takes no more streams. */
  constructor(ring: Ring, flushQueue: Pick<FlushQueue, "share">, closed: () => void) {
    this.#ring = ring;
    this.#flushQueue = flushQueue;
    this.#closed = closed;
    this.#slot = ring.end;
  }

  /** Adds a stream that waits at the position where the batch begins. Returns false, and adds nothing, at any other position. */
  add(member: BatchMember, { slot, seq }: { readonly slot: number; readonly seq: number }): boolean {
    this.#seq ??= slot === this.#slot ? seq : undefined;
    if (slot !== this.#slot || seq !== this.#seq) return false;
    this.#members.push(member);
    return true;
  }

  /** The seq of the streams before the batch. */
  get seq(): number {
    return this.#seq ?? 0;
  }

  /** The seq of the streams after the batch. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** The slot of the streams after the batch. */
  get end(): number {
    return this.#end;
  }

  /** Decides which frames streams with the filter send; undefined where each has to read the ring itself. */
  decide(filter: Filter | undefined, clock: Pick<Clock, "now">): Decision | undefined {
    const known = this.#decisions.get(filter);
    if (known || !this.#frames) return known;
    const decision = new Decision(this.#frames, filter, clock.now(), (some) => this.#share(some));
    this.#decisions.set(filter, decision);
    return decision;
  }

  flush(): void {
    this.#closed();
    if (this.#members.length === 0) return;
    this.#frames = this.#read();
    for (const member of this.#members) {
      try {
        member.deliver(this);
      } catch (error) {
        fail(member, error);
      }
    }
  }

  /**
   * The frames of the batch, if all streams can take them in one write: none is missing or in doubt, and they are not too
   * large. Sets the position after them.
   */
  #read(): readonly MessageFrame[] | undefined {
    const ring = this.#ring;
    const frames: MessageFrame[] = [];
    let bytes = 0;
    this.#lastSeq = this.seq;
    this.#end = ring.end;
    if (ring.first > this.#slot) return undefined;
    for (let slot = this.#slot; slot < this.#end; slot++) {
      const frame = ring.at(slot);
      if (frame.seq !== 0) {
        // A repeated notice.
        if (frame.seq <= this.#lastSeq) continue;
        if (frame.doubtful || frame.seq > this.#lastSeq + 1) return undefined;
        this.#lastSeq = frame.seq;
      }
      frames.push(frame);
      bytes += frame.size;
    }
    const isWhole = ring.lastSeq <= this.#lastSeq && bytes <= maxTakenBytes && frames.length > 0;
    return isWhole ? frames : undefined;
  }

  /** Shares the joined bytes of frames. A single frame is not joined, and `alone` is already the same array for all streams. */
  #share(frames: readonly Frame[]): readonly Frame[] {
    const [first] = frames;
    if (first && frames.length === 1) return first.alone;
    this.#flushQueue.share(frames);
    return frames;
  }
}

/** Reports an error to its own stream; the others still get the batch. */
function fail(member: BatchMember, error: unknown): void {
  guard(warn, () => member.failed(error));
}

function isNotification({ summary }: MessageFrame): boolean {
  return summary.kind === notificationKind;
}

/** Whether the message may alert anyone. */
function mayAlert({ seq, summary: { kind } }: MessageFrame): boolean {
  return seq !== 0 && (kind === Kind.NOTIFICATION || kind === Kind.ACTIVITY);
}
