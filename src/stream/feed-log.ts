import { create } from "@bufbuild/protobuf";
import { type Position, PositionSchema } from "../../gen/tidings/v1/message_pb.ts";
import { type Identity, isUser } from "../auth/identity.ts";
import type { NamedFeed } from "../feeds/feed.ts";
import { type Filter, passes } from "../feeds/filter.ts";
import type { SeqSet } from "../inbox/seq-set.ts";
import type { FeedBounds } from "../ports/store.ts";
import { type Frame, MessageFrame } from "../wire/frame.ts";
import type { StreamContext } from "./context.ts";
import { FeedReader, type FrameChoice } from "./feed-reader.ts";
import { FollowedFeed, type FollowingStream } from "./followed-feeds.ts";

/** Where to start in a feed: at its oldest message, after its newest one, or after a position. */
export type FeedStart = "oldest" | "now" | { readonly epoch: number; readonly seq: number };

/** What a reader of one feed asks for. */
export interface FeedRequest {
  readonly feed: NamedFeed;
  readonly start: FeedStart;
  /** Only messages that pass it; empty lists let everything through. */
  readonly filter: Filter;
}

/** The next messages of a feed; or a gap, beyond which a reader has to ask again. */
export type FeedBatch =
  | { readonly frames: readonly MessageFrame[]; readonly gapTo?: undefined }
  /** The position at which the feed goes on. */
  | { readonly gapTo: Position };

const none: readonly MessageFrame[] = [];

/**
 * One feed as a log of stored messages, for readers that follow nothing else: by way of the same cursor, ring and pages of
 * history as every stream. Messages that are not stored have no position in a log, and are left out.
 */
export class FeedLog implements FrameChoice {
  readonly #context: StreamContext;
  readonly #identity: Identity;
  readonly #request: FeedRequest;
  readonly #filter: Filter | undefined;
  readonly #followed: FollowedFeed;
  readonly #reader: FeedReader;
  /** The messages that the user has deleted, which a replay leaves out. Unset before the first message is replayed. */
  #deleted: SeqSet | undefined;
  #seq = 0;
  /** The feed's last seq at the start. */
  #end = 0;

  /** Follows the feed until `close`. `stream` is woken when there is something new. */
  constructor(context: StreamContext, identity: Identity, request: FeedRequest, stream: FollowingStream) {
    this.#context = context;
    this.#identity = identity;
    this.#request = request;
    this.#filter = context.filters.of(request.filter);
    this.#followed = new FollowedFeed(stream, context.hub, request.feed, true);
    // The stored events of a room are read like everything else, from the position that was asked for.
    this.#followed.hasPosition = true;
    this.#reader = new FeedReader(context, this);
  }

  /** The epoch of the feed; 0 before `start`. */
  get epoch(): number {
    return this.#followed.cursor.epoch;
  }

  /** Every message up to here was returned, or left out for a reason. */
  get seq(): number {
    return this.#seq;
  }

  /** Whether the feed is known to have nothing beyond `seq`. */
  get isUpToDate(): boolean {
    return this.#seq >= this.#end && this.#followed.cursor.isEnd(this.#seq);
  }

  /** Whether `take` or `takeMissing` has something. */
  get hasNews(): boolean {
    return this.#reader.hasNews;
  }

  /** Whether the log waits for the Store. */
  get isWaiting(): boolean {
    return this.#reader.isWaiting;
  }

  /**
   * Asks for the bounds of the feed, and goes to the start. Resolves to the bounds, and to the position at which the feed goes
   * on where messages after the start are gone. Rejects with POSITION_IN_FUTURE, and as the Store does.
   */
  async start(): Promise<{ readonly bounds: FeedBounds; readonly gapTo: Position | undefined }> {
    const { feed, start } = this.#request;
    const [found] = await this.#context.store.bounds([feed.key]);
    const bounds = found as FeedBounds;
    const from = start === "oldest" ? { epoch: bounds.epoch, seq: bounds.tail - 1 } : start;
    const position = from === "now" ? undefined : { feed: feed.name, epoch: from.epoch, seq: String(from.seq) };
    const gap = this.#followed.cursor.start(
      bounds,
      position && { position: create(PositionSchema, position), field: "offset" },
    );
    this.#seq = this.#followed.cursor.seq;
    this.#end = bounds.seq;
    return { bounds, gapTo: gap?.to };
  }

  /** The next messages up to a seq, without those that the user has deleted; ends at a gap. */
  async *replay(upTo: number): AsyncGenerator<FeedBatch> {
    for await (const batch of batchesOf(this.#reader.readTo(this.#followed, upTo))) {
      if (batch.gapTo !== undefined || batch.frames.length === 0) {
        yield batch;
        continue;
      }
      const deleted = await this.#deletedOnes();
      yield { frames: deleted ? batch.frames.filter(({ seq }) => !deleted.has(seq)) : batch.frames };
    }
  }

  /** The next messages that the ring has. */
  take(): readonly MessageFrame[] {
    return this.#reader.take() as readonly MessageFrame[];
  }

  /** The next messages that only the Store has, after `take`; ends at a gap. Undefined where the ring reaches. */
  takeMissing(): AsyncIterable<FeedBatch> | undefined {
    const missing = this.#reader.takeMissing();
    return missing && batchesOf(this.#reader.readMissing(missing));
  }

  /** Looks at the feed again: makes `hasNews` true. */
  wake(): void {
    this.#followed.wake();
  }

  /** Called with a feed that has become dirty. */
  add(followed: FollowedFeed): void {
    this.#reader.add(followed);
  }

  /** Stops following the feed. */
  close(): void {
    this.#context.hub.unfollow(this.#request.feed, this.#followed);
  }

  wanted(_followed: FollowedFeed, frames: readonly MessageFrame[]): readonly MessageFrame[] {
    if (frames.length === 0) return none;
    const now = this.#context.settings.clock.now();
    const wanted = frames.filter((frame) => this.#isWanted(frame, now));
    this.passed(_followed, frames.at(-1)?.seq ?? 0);
    return wanted;
  }

  passed(_followed: FollowedFeed, seq: number): void {
    this.#seq = Math.max(this.#seq, seq);
  }

  ofBatch(): undefined {
    return undefined;
  }

  #isWanted(frame: MessageFrame, now: number): boolean {
    if (frame.seq === 0 || frame.recalled || frame.expireTime <= now) return false;
    return this.#filter === undefined || passes(this.#filter, frame.summary);
  }

  async #deletedOnes(): Promise<SeqSet | undefined> {
    if (!isUser(this.#identity)) return undefined;
    this.#deleted ??= await this.#context.states.deleted(this.#identity, this.#request.feed.name);
    return this.#deleted;
  }
}

/** The batches of a reader, up to a gap. */
async function* batchesOf(batches: AsyncIterable<readonly Frame[]>): AsyncGenerator<FeedBatch> {
  for await (const frames of batches) {
    const gapTo = gapOf(frames);
    yield gapTo ? { gapTo } : { frames: frames as readonly MessageFrame[] };
    if (gapTo) return;
  }
}

/** The end of the gap in a batch of a reader, which is alone in its batch; undefined for messages. */
function gapOf([first]: readonly Frame[]): Position | undefined {
  if (first === undefined || first instanceof MessageFrame) return undefined;
  const { event } = first.response;
  return event.case === "gap" ? event.value.to : undefined;
}
