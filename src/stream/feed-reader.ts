import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import type { FramePage } from "../feeds/history.ts";
import type { RingBatch } from "../feeds/ring-batch.ts";
import { selectAll } from "../inbox/selection.ts";
import { unbounded } from "../ports/store.ts";
import { roomOf } from "../rooms/grants.ts";
import { eventFrame, type Frame, type MessageFrame } from "../wire/frame.ts";
import type { StreamContext } from "./context.ts";
import type { Cursor } from "./cursor.ts";
import type { Delivery } from "./delivery.ts";
import type { FollowedFeed } from "./followed-feeds.ts";

/** Frames of one feed that are taken at once. */
const batchSize = 64;
const none: readonly Frame[] = [];

/** A feed whose next messages only the Store has, up to a seq. */
export interface MissingMessages {
  readonly followed: FollowedFeed;
  readonly seq: number;
  /** Whether the ring had frames beyond; it may drop them before the Store answers. */
  readonly isBehind: boolean;
}

/** Decides which frames a reader sends, and hears of every message that its cursor passes. */
export type FrameChoice = Pick<Delivery, "wanted" | "ofBatch" | "passed">;

/**
 * Reads what comes next in the feeds of one stream: from their rings, which hold recent frames for all streams, or from
 * the Store where a ring no longer reaches.
 */
export class FeedReader {
  readonly #context: Pick<StreamContext, "history" | "messages" | "store" | "settings">;
  readonly #delivery: FrameChoice;
  /** The dirty feeds, a list linked by `next`: no allocation per message. */
  #firstDirty: FollowedFeed | undefined;
  #lastDirty: FollowedFeed | undefined;
  #missing: MissingMessages | undefined;
  #isWaiting = false;

  constructor(context: Pick<StreamContext, "history" | "messages" | "store" | "settings">, delivery: FrameChoice) {
    this.#context = context;
    this.#delivery = delivery;
  }

  /** Whether the reader waits for the Store. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Whether `take` or `takeMissing` has something. */
  get hasNews(): boolean {
    return this.#firstDirty !== undefined || this.#missing !== undefined;
  }

  /** A feed has become dirty. */
  add(followed: FollowedFeed): void {
    if (this.#lastDirty) this.#lastDirty.next = followed;
    else this.#firstDirty = followed;
    this.#lastDirty = followed;
  }

  /**
   * The frames to send that the rings hold for the dirty feeds. Of a busy feed it takes one batch and makes the feed dirty
   * again, so that it does not keep the other feeds, the totals and the heartbeats from a slow reader.
   */
  take(): readonly Frame[] {
    let batch = none;
    let followed = this.#firstDirty;
    this.#firstDirty = this.#lastDirty = undefined;
    for (let next: FollowedFeed | undefined; followed; followed = next) {
      next = followed.next;
      followed.next = undefined;
      followed.dirty = false;
      const { frames, missing } = followed.cursor.take(batchSize, unbounded);
      // A feed that needs the Store is dirty again once that has answered: until then, each round would only ask again.
      const isDirty = missing === undefined ? followed.cursor.isBehind : !this.#noteMissing(followed, missing);
      if (isDirty) followed.wake();
      const wanted = this.#delivery.wanted(followed, frames);
      if (wanted.length > 0) batch = batch.length > 0 ? [...batch, ...wanted] : wanted;
    }
    return batch;
  }

  /**
   * The frames to send from a batch of the only dirty feed, which is clean afterwards. Undefined where the batch does not fit
   * this stream, which reads the ring by `take` then.
   */
  takeBatch(batch: RingBatch): readonly Frame[] | undefined {
    const followed = this.#firstDirty as FollowedFeed;
    const wanted = this.#delivery.ofBatch(followed, batch);
    if (!wanted) return undefined;
    this.#firstDirty = this.#lastDirty = undefined;
    followed.dirty = false;
    followed.cursor.pass(batch);
    return wanted;
  }

  /** Notes that a feed needs the Store. Reports false where another feed has the next round: each gets one of its own. */
  #noteMissing(followed: FollowedFeed, seq: number): boolean {
    if (this.#missing && this.#missing.followed !== followed) return false;
    // Two takes of one feed can come before its round, and only the later one has seen the feed's last seq.
    const isBehind = followed.cursor.isBehind || this.#missing?.isBehind === true;
    this.#missing = { followed, seq: Math.max(seq, this.#missing?.seq ?? 0), isBehind };
    return true;
  }

  /** The feed that `take` found to need the Store; undefined for none. */
  takeMissing(): MissingMessages | undefined {
    const missing = this.#missing;
    this.#missing = undefined;
    return missing;
  }

  /** Batches of frames to send from what `takeMissing` returned. The feed is dirty afterwards where more follows. */
  async *readMissing({ followed, seq, isBehind }: MissingMessages): AsyncGenerator<readonly Frame[]> {
    yield* this.readTo(followed, seq);
    if (isBehind) followed.wake();
  }

  /** Whether `replay` up to `seq` may yield anything. */
  hasMissed(followed: FollowedFeed, seq: number): boolean {
    return followed.cursor.seq < seq || (seq > 0 && isNewRoom(followed));
  }

  /** The missed messages up to `seq`; in a room without a position, the stored events. */
  async *replay(followed: FollowedFeed, seq = 0): AsyncGenerator<readonly Frame[]> {
    if (isNewRoom(followed)) yield* this.storedEvents(followed, seq);
    yield* this.readTo(followed, seq);
  }

  /** Batches of frames to send, from the cursor up to `seq` and not beyond. */
  async *readTo(followed: FollowedFeed, seq: number): AsyncGenerator<readonly Frame[]> {
    const { cursor } = followed;
    while (cursor.seq < seq) {
      const { frames } = cursor.take(batchSize, seq);
      yield this.#delivery.wanted(followed, frames);
      if (frames.length > 0) continue;
      const page = await this.#readPage(cursor, seq);
      const gap = cursor.skipTrimmed(page.bounds);
      if (gap && followed.shown) yield [eventFrame({ case: "gap", value: gap })];
      const from = cursor.seq;
      const between = page.frames.filter((frame) => frame.seq > from && frame.seq <= seq);
      const damaged = page.damaged.filter((each) => each > from && each <= seq);
      yield* this.#withGaps(followed, between, damaged);
      // The Store has nothing beyond the cursor, whatever the notice of `seq` said: asking again would not end.
      if (page.through <= from && !gap) return;
      cursor.seq = Math.max(cursor.seq, Math.min(page.through, seq));
      // Expired messages are on no page, but the cursor has passed them.
      this.#delivery.passed(followed, cursor.seq);
    }
  }

  /** Batches of these frames to send, with a gap in the position of each message that cannot be decoded. */
  *#withGaps(
    followed: FollowedFeed,
    frames: readonly MessageFrame[],
    damaged: readonly number[],
  ): Generator<readonly Frame[]> {
    let rest = frames;
    for (const seq of damaged) {
      yield this.#delivery.wanted(
        followed,
        rest.filter((frame) => frame.seq < seq),
      );
      const gap = followed.cursor.skipDamaged(seq);
      if (followed.shown) yield [eventFrame({ case: "gap", value: gap })];
      rest = rest.filter((frame) => frame.seq > seq);
    }
    yield this.#delivery.wanted(followed, rest);
  }

  /** Batches of the stored events (those with a `ttl`) up to a seq, for a reader that enters a room without a position. */
  async *storedEvents(followed: FollowedFeed, upTo: number): AsyncGenerator<readonly Frame[]> {
    const { feed } = followed.cursor;
    const { store, settings, messages } = this.#context;
    const filter = { kinds: [Kind.EVENT], order: "oldest", bodies: true, limit: batchSize } as const;
    for (let after = 0; after < upTo; ) {
      const entries = await store.select({ ...selectAll(feed, [[after + 1, upTo]], settings.clock.now()), ...filter });
      const frames = entries.map((entry) => messages.frame(feed, entry)).filter((frame) => frame !== undefined);
      yield this.#delivery.wanted(followed, frames);
      after = entries.length < batchSize ? upTo : (entries.at(-1)?.seq ?? upTo);
    }
  }

  async #readPage(cursor: Cursor, seq: number): Promise<FramePage> {
    this.#isWaiting = true;
    try {
      return await this.#context.history.read(cursor.feed, cursor.seq, seq);
    } finally {
      this.#isWaiting = false;
    }
  }
}

/** Whether the stream entered a room without a position in its feed. */
function isNewRoom({ shown, hasPosition, cursor }: FollowedFeed): boolean {
  return shown && !hasPosition && roomOf(cursor.feed.name) !== undefined;
}
