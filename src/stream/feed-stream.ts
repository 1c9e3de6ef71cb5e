/**
 * One open reader of a single feed, over a transport that knows nothing of Subscribe's events. It is a stream like every other:
 * counted, drained, disconnected, and bound by the expiry of its token and by backpressure. It has no totals, alerts or rooms,
 * and no presence, because its user would come and go with each long poll.
 */
import type { ConnectError } from "@connectrpc/connect";
import { disconnected } from "../auth/block-list.ts";
import { type Identity, isUser, type UserIdentity } from "../auth/identity.ts";
import { keyFault } from "../auth/verify-token.ts";
import { fail } from "../errors.ts";
import type { UserFollower } from "../feeds/hub.ts";
import type { Transport } from "../metrics/counters.ts";
import type { DisconnectNotice } from "../ports/bus.ts";
import type { MessageFrame } from "../wire/frame.ts";
import type { StreamContext } from "./context.ts";
import { type FeedBatch, FeedLog, type FeedRequest } from "./feed-log.ts";
import { type FeedPosition, positionGone } from "./feed-offset.ts";
import type { FollowedFeed, FollowingStream } from "./followed-feeds.ts";
import { checkStreams, type RegisteredStream } from "./registry.ts";
import { StoreRetry, whileAvailable } from "./store-retry.ts";
import { type TimerActions, Timers } from "./timers.ts";

/** What a reader has got with a write. */
export interface FeedState extends FeedPosition {
  /** Whether the feed had nothing more. */
  readonly isUpToDate: boolean;
}

/** The writing end of a reader of one feed. */
export interface FeedSink {
  /**
   * Writes messages and the position after them. Without messages, only the position is new, or that the reader is up to date.
   * Returns false when no more may follow before `drained`.
   */
  write(frames: readonly MessageFrame[], state: FeedState): boolean;
  /** Nothing was written for the heartbeat interval. Returns as `write`. */
  beat(state: FeedState): boolean;
  /** Bytes that the transport has not sent yet. */
  readonly queued: number;
  /** Resolves when more may follow, or the transport is gone. Call it only after false. */
  drained(): Promise<void>;
}

/** What a stream of one feed is opened with. */
export interface FeedStreamParts {
  readonly transport: Transport;
  /** Ends a transport that takes nothing any more. */
  readonly cut: () => void;
}

/** A stream of one feed. Call `start` once, and `close` when the transport is gone, for any reason. */
export class FeedStream implements FollowingStream, UserFollower, TimerActions, RegisteredStream {
  readonly id: string;
  readonly transport: Transport;
  readonly #context: StreamContext;
  readonly #identity: Identity;
  readonly #log: FeedLog;
  readonly #timers: Timers;
  readonly #cut: () => void;
  /** When the stream was opened, by the node's clock. */
  readonly #opened: number;
  /** Unset until the Store fails to answer. */
  #storeRetry: StoreRetry | undefined;
  /** The error that the stream ends with. */
  #end: ConnectError | undefined;
  #isClosed = false;
  #beats = false;
  /** Whether the last write said that the reader is up to date. */
  #knowsEnd = false;
  #sink: FeedSink | undefined;
  /** Lets the loop go on; unset while it runs. */
  #resume: (() => void) | undefined;

  /** Opens a stream. Throws TOO_MANY_STREAMS. */
  constructor(context: StreamContext, identity: Identity, request: FeedRequest, { transport, cut }: FeedStreamParts) {
    this.id = context.newId();
    this.transport = transport;
    this.#context = context;
    this.#identity = identity;
    this.#cut = cut;
    const user = this.#user;
    const { settings, hub } = context;
    if (user) checkStreams(hub, settings.maxStreamsPerUser, user);
    const { heartbeatMs, timeouts, clock } = settings;
    const times = { heartbeatMs, stallMs: timeouts.stallMs, tokenExpiry: context.expiryOf(identity) };
    this.#timers = new Timers(clock, times, this);
    this.#opened = clock.now();
    this.#log = new FeedLog(context, identity, request, this);
    context.streams.add(this, identity.tenant);
    context.counters.opened(transport);
    if (user) hub.joinUser(user.tenant, user.subject, this);
  }

  /**
   * Writes the missed messages, and then live ones. `ended` gets the error that the stream ends with: POSITION_GONE and
   * POSITION_IN_FUTURE before anything is written, POSITION_GONE also later.
   */
  start(sink: FeedSink, ended: (error: unknown) => void): void {
    this.#sink = sink;
    this.#run().catch((error: unknown) => {
      this.close();
      ended(error);
    });
  }

  get load(): { readonly lagging: boolean; readonly queued: number } {
    return { lagging: this.#timers.isSending || this.#log.isWaiting, queued: this.#sink?.queued ?? 0 };
  }

  /** The position that the reader has. */
  get state(): FeedState {
    const { epoch, seq, isUpToDate } = this.#log;
    return { epoch, seq, isUpToDate };
  }

  /** Ends the stream with an error, at its next step. Of several errors the first counts. */
  end(error: ConnectError): void {
    this.#end ??= error;
    this.#continue();
  }

  drain(afterMs: number, message: string): void {
    this.end(fail("SERVER_DRAINING", message, { retryAfterMs: afterMs }));
  }

  /** A stream of one feed is in no room. */
  kick(): void {}

  recheckKey(): void {
    const fault = keyFault(this.#identity);
    if (fault) this.end(fault);
  }

  isOf({ tenant, user, tokenId }: { tenant: string; user: string; tokenId: string }): boolean {
    const isOwn = this.#user?.tenant === tenant && this.#user.subject === user;
    return isOwn && (tokenId === "" || this.#identity.tokenId === tokenId);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.end(fail("STREAM_CLOSED", "the client closed the stream"));
    this.#timers.close();
    this.#storeRetry?.close();
    this.#log.close();
    const user = this.#user;
    if (user) this.#context.hub.leaveUser(user.tenant, user.subject, this);
    this.#context.streams.delete(this);
  }

  wake(followed: FollowedFeed): void {
    this.#log.add(followed);
    // At the end of the event-loop tick, so that all messages of the tick are one write.
    this.#context.flushQueue.add(this);
  }

  flush(): void {
    this.#continue();
  }

  failed(error: unknown): void {
    this.end(fail("INTERNAL", "internal error", { cause: error }));
  }

  disconnected(notice: DisconnectNotice): void {
    if (this.isOf(notice)) this.end(disconnected(notice.reason));
  }

  recheck(): void {
    void this.#context.blockList.recheck(this.#identity, this.#opened, (error) => this.end(error));
  }

  /** A log does not change when its reader reads. */
  readChanged(): void {}

  /** What was written cannot be taken back. */
  recalled(): void {}

  /** Nothing counts messages here. */
  messageExpired(): void {}

  beat(): void {
    this.#beats = true;
    this.#continue();
  }

  tokenExpired(): void {
    this.end(fail("TOKEN_EXPIRED", "the token has expired; reconnect with a fresh one"));
  }

  stalled(): void {
    const sentence = "the reader took nothing for too long; reconnect with the last offset";
    this.end(fail("READER_TOO_SLOW", sentence, { retryAfterMs: 1000 }));
    this.#cut();
  }

  /** Ends only by rejecting. */
  async #run(): Promise<never> {
    await this.#open();
    for (;;) {
      await this.#round();
      // The last messages may have been left out, or there were none.
      if (!this.#knowsEnd && this.#log.isUpToDate) await this.#write([]);
      if (!this.#log.hasNews && !this.#beats && !this.#end)
        await new Promise<void>((resume) => (this.#resume = resume));
    }
  }

  async #open(): Promise<void> {
    // The caller may have been blocked, or the key withdrawn, after the token was verified and before there was a stream.
    await this.#context.blockList.check(this.#identity);
    this.recheckKey();
    this.#throwEnd();
    const { bounds, gapTo } = await this.#log.start();
    if (gapTo) throw positionGone(gapTo);
    this.#context.streams.began(this);
    for await (const batch of this.#log.replay(bounds.seq)) await this.#take(batch);
  }

  async #round(): Promise<void> {
    this.#throwEnd();
    const frames = this.#log.take();
    const missing = this.#log.takeMissing();
    if (frames.length > 0) await this.#write(frames);
    if (missing) {
      for await (const batch of whileAvailable(missing, () => this.#retryLater())) await this.#take(batch);
    }
    if (!this.#beats) return;
    this.#beats = false;
    await this.#sent((sink, state) => sink.beat(state));
  }

  async #take(batch: FeedBatch): Promise<void> {
    if (batch.gapTo) throw positionGone(batch.gapTo);
    if (batch.frames.length > 0) await this.#write(batch.frames);
  }

  async #write(frames: readonly MessageFrame[]): Promise<void> {
    this.#throwEnd();
    this.#context.streams.delivered += frames.length;
    await this.#sent((sink, state) => sink.write(frames, state));
    this.#throwEnd();
  }

  async #sent(send: (sink: FeedSink, state: FeedState) => boolean): Promise<void> {
    const { state } = this;
    this.#knowsEnd = state.isUpToDate;
    if (!send(this.#sink as FeedSink, state)) {
      this.#timers.sending();
      await (this.#sink as FeedSink).drained();
    }
    this.#timers.sent();
  }

  #retryLater(): void {
    if (this.#isClosed) return;
    const { clock, random } = this.#context.settings;
    this.#storeRetry ??= new StoreRetry(clock, random);
    this.#storeRetry.add(this, () => this.#log.wake());
  }

  #continue(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  #throwEnd(): void {
    if (this.#end) throw this.#end;
  }

  /** The caller if it is a user; undefined for a service. */
  get #user(): UserIdentity | undefined {
    return isUser(this.#identity) ? this.#identity : undefined;
  }
}
