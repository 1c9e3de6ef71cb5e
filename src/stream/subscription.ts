/**
 * ⑤ One open stream: a cursor per feed over frames that all streams share. Messages that a feed's ring no longer holds are
 * read from the Store, so two seconds and two weeks offline take the same path, and a slow reader costs others nothing.
 */
import type { ConnectError } from "@connectrpc/connect";
import type { SubscribeRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import { disconnected } from "../auth/block-list.ts";
import { type Identity, isUser, type UserIdentity } from "../auth/identity.ts";
import { keyFault } from "../auth/verify-token.ts";
import { fail } from "../errors.ts";
import { followedFeeds } from "../feeds/feed.ts";
import type { UserFollower } from "../feeds/hub.ts";
import type { BatchMember, RingBatch } from "../feeds/ring-batch.ts";
import { type NamedChange, unknownChange } from "../inbox/read-change.ts";
import type { Transport } from "../metrics/counters.ts";
import type { DisconnectNotice, ReadNotice, RecallNotice } from "../ports/bus.ts";
import type { FeedBounds } from "../ports/store.ts";
import { roomFeed, roomFeedName } from "../rooms/grants.ts";
import { eventFrame, type Frame, goAwayFrame } from "../wire/frame.ts";
import { BatchSink, type Sink } from "../wire/sink.ts";
import type { StreamContext } from "./context.ts";
import { Delivery } from "./delivery.ts";
import { FeedReader } from "./feed-reader.ts";
import { type FollowedFeed, FollowedFeeds, type FollowingStream } from "./followed-feeds.ts";
import { helloFrame } from "./hello.ts";
import { Pending } from "./pending.ts";
import type { Phase } from "./phase.ts";
import { checkStreams } from "./registry.ts";
import { isJoined, type RoomOutcome, type RoomsOwner, StreamRooms } from "./rooms.ts";
import { StoreRetry, whileAvailable } from "./store-retry.ts";
import { type TimerActions, Timers } from "./timers.ts";
import { StreamTotals } from "./totals.ts";

/** One stream. Call `run` or iterate `batches()` once, and call `close()` when the transport is gone, for any reason. */
export class Subscription implements FollowingStream, BatchMember, UserFollower, TimerActions, RoomsOwner {
  readonly id: string;
  readonly transport: Transport;
  readonly #context: StreamContext;
  #identity: Identity;
  #phase: Phase = "opening";
  /** The error that the stream ends with. */
  #end: ConnectError | undefined;
  #goAway: { readonly afterMs: number; readonly message: string } | undefined;
  /** Gets the error that the stream ends with. */
  #ended: ((error: unknown) => void) | undefined;
  /** Whether the loop has stopped until `#continue`. */
  #isWaiting = false;
  #sink: Sink | undefined;
  readonly #feeds: FollowedFeeds;
  readonly #reader: FeedReader;
  readonly #delivery: Delivery;
  readonly #totals: StreamTotals;
  readonly #pending = new Pending();
  readonly #timers: Timers;
  /** Unset for a stream that asked for no rooms. */
  readonly #rooms: StreamRooms | undefined;
  /** Unset until the Store fails to answer. */
  #storeRetry: StoreRetry | undefined;
  #unwatchOnline: (() => void) | undefined;
  readonly #cut: () => void;
  /** When the stream was opened, by the node's clock. */
  readonly #opened: number;

  /**
   * Opens a stream for a request that has passed validation. `cut` ends a transport that takes nothing any more. Throws
   * TOO_MANY_STREAMS, and FIELD_INVALID for rooms that no rights could open.
   */
  constructor(
    context: StreamContext,
    identity: Identity,
    request: SubscribeRequest,
    cut: () => void,
    transport: Transport = "local",
  ) {
    this.id = context.newId();
    this.transport = transport;
    this.#context = context;
    this.#identity = identity;
    const user = this.#user;
    if (user) checkStreams(context.hub, context.settings.maxStreamsPerUser, user);
    if (request.rooms.length > 0) this.#rooms = new StreamRooms(context, identity, { ...request, id: this.id }, this);
    const { heartbeatMs, timeouts, clock } = context.settings;
    const times = { heartbeatMs, stallMs: timeouts.stallMs, tokenExpiry: context.expiryOf(identity) };
    this.#timers = new Timers(clock, times, this);
    this.#cut = cut;
    this.#opened = clock.now();
    this.#feeds = new FollowedFeeds(context.hub, this, request.positions);
    this.#totals = new StreamTotals(context, this.#feeds, this.#timers, user);
    this.#delivery = new Delivery(context, user, request, this.#totals);
    this.#reader = new FeedReader(context, this.#delivery);
    for (const feed of followedFeeds(identity)) this.#feeds.add(feed, true);
    context.streams.add(this, identity.tenant);
    context.counters.opened(transport);
    if (user) context.hub.joinUser(user.tenant, user.subject, this);
    if (request.onlineCount && identity.tenant !== undefined) {
      this.#unwatchOnline = context.online.watch(identity.tenant, (online) => {
        this.#pending.online(online);
        this.wake();
      });
    }
  }

  /** Writes Hello, the missed messages, CaughtUp, and then live events. Ends only by rejecting; call it once. */
  run(sink: Sink): Promise<never> {
    return new Promise((_, reject) => this.start(sink, reject));
  }

  /**
   * As `run`, but calls `ended` instead of rejecting, so that no promise and no suspended function stays in memory while the
   * stream is idle.
   */
  start(sink: Sink, ended: (error: unknown) => void): void {
    this.#sink = sink;
    this.#ended = ended;
    void this.#loop(this.#open());
  }

  /**
   * The same as `run`, as batches that are never empty, for a transport that asks for the next one. With `following`, only
   * Hello is a batch, and everything after it is written there.
   */
  batches(following?: Sink): AsyncGenerator<readonly Frame[]> {
    return new BatchSink(following).read(
      (sink) => this.run(sink),
      () => this.close(),
    );
  }

  /** Called at the end of the event-loop tick: writes live messages at once, and leaves the rest to the loop. */
  flush(): void {
    this.#flushed(this.#phase === "queued" && this.#writeLive());
  }

  /** Called at the end of the event-loop tick: writes the frames of the batch, or leaves them to `flush` if it does not fit. */
  deliver(batch: RingBatch): void {
    if (!this.#move("batched", "queued")) return;
    const frames = this.#reader.takeBatch(batch);
    if (frames) this.#flushed(frames.length === 0 || this.#write(frames));
    else this.flush();
  }

  /** A callback of this stream threw: a bug, which ends this stream with INTERNAL and nothing else. */
  failed(error: unknown): void {
    this.end(fail("INTERNAL", "internal error", { cause: error }));
    this.#continue();
  }

  /** Replaces the token by a fresh one of the same caller. The stream leaves the rooms that it does not open. */
  async refresh(identity: Identity): Promise<void> {
    const inbox = this.#user?.rooms.join("\n");
    this.#identity = identity;
    // The key may have been withdrawn since the token was verified, while the stream still had its old one.
    this.recheckKey();
    this.#timers.extendToken(this.#context.expiryOf(identity));
    const user = this.#user;
    this.#totals.user = user;
    await this.#rooms?.recheck(identity);
    if (!user || user.rooms.join("\n") === inbox) return;
    await this.#context.states.load(user);
    this.#noteTotals();
  }

  /** `lagging`: the reader takes nothing for now, or the stream waits for the Store. `queued`: bytes in the transport. */
  get load(): { readonly lagging: boolean; readonly queued: number } {
    return { lagging: this.#timers.isSending || this.#reader.isWaiting, queued: this.#sink?.queued ?? 0 };
  }

  /** Ends the stream with an error, at its next step. Of several errors the first counts. */
  end(error: ConnectError): void {
    this.#end ??= error;
    this.#startEnding();
  }

  /** Says go_away and ends the stream, at its next step. */
  drain(afterMs: number, message: string): void {
    this.#goAway = { afterMs, message };
    this.#startEnding();
  }

  /** Another stream took the room: nothing of it is sent from now on. */
  kick(room: string): void {
    this.#rooms?.kick(room);
  }

  /** Ends the stream if the key that signed its token was withdrawn. */
  recheckKey(): void {
    const fault = keyFault(this.#identity);
    if (fault) this.end(fault);
  }

  /** Whether the stream belongs to the user and uses this token; the token "" stands for any. */
  isOf({ tenant, user, tokenId }: { tenant: string; user: string; tokenId: string }): boolean {
    const isOwn = this.#user?.tenant === tenant && this.#user.subject === user;
    return isOwn && (tokenId === "" || this.#identity.tokenId === tokenId);
  }

  /** Frees everything that the stream holds on the node. */
  close(): void {
    if (this.#phase === "closed") return;
    this.end(fail("STREAM_CLOSED", "the client closed the stream"));
    this.#phase = "closed";
    this.#timers.close();
    this.#storeRetry?.close();
    this.#rooms?.close();
    this.#unwatchOnline?.();
    this.#feeds.close();
    this.#delivery.close();
    const user = this.#user;
    if (user) {
      this.#context.hub.leaveUser(user.tenant, user.subject, this);
      // A lease that cannot be returned expires by itself.
      this.#context.presence.leave(this.#connection(user)).catch(() => {});
    }
    this.#context.streams.delete(this);
  }

  wake(followed?: FollowedFeed, batch?: RingBatch): void {
    if (followed) this.#reader.add(followed);
    if (this.#phase === "idle" && followed?.cursor.isLive && batch?.add(this, followed.cursor)) this.#phase = "batched";
    else if (this.#phase === "idle" || this.#phase === "batched") {
      this.#phase = "queued";
      this.#context.flushQueue.add(this);
    }
  }

  readChanged(notice: ReadNotice): void {
    this.#totals.change.add(notice);
    this.wake();
  }

  recalled({ ids }: RecallNotice): void {
    this.#totals.change.add({ ...unknownChange, deletedIds: ids });
    this.wake();
  }

  recheck(version: number): void {
    const known = this.#totals.version;
    if (known !== undefined && known !== version) this.#noteUnknownChange();
    void this.#context.blockList.recheck(this.#identity, this.#opened, (error) => this.end(error));
  }

  disconnected(notice: DisconnectNotice): void {
    if (!this.isOf(notice)) return;
    this.end(disconnected(notice.reason));
  }

  lost(room: string): void {
    this.#feeds.hide(roomFeedName(room));
  }

  beat(): void {
    this.#pending.heartbeat();
    this.wake();
  }

  messageExpired(): void {
    this.#noteTotals();
  }

  tokenExpired(): void {
    this.end(fail("TOKEN_EXPIRED", "the token has expired; reconnect with a fresh one"));
  }

  stalled(): void {
    const sentence = "the reader took nothing for too long; reconnect with the last positions";
    this.end(fail("READER_TOO_SLOW", sentence, { retryAfterMs: 1000 }));
    this.#cut();
  }

  /** Runs rounds until the stream is idle, after `before`. Never rejects. */
  async #loop(before?: Promise<void>): Promise<void> {
    try {
      await before;
      this.#move("opening", "busy");
      while (this.#timers.isSending || this.#hasWork || !this.#move("busy", "idle")) await this.#round();
      this.#isWaiting = true;
    } catch (error) {
      this.close();
      this.#ended?.(error);
    }
  }

  /** Sends batches one after the other. */
  async #sendAll(batches: AsyncIterable<readonly Frame[]>): Promise<void> {
    for await (const batch of batches) await this.#send(batch);
  }

  /** Sends a batch, which may be empty; after it the stream can end. */
  async #send(batch: readonly Frame[]): Promise<void> {
    if (batch.length > 0 && !this.#write(batch)) await this.#drained();
    if (this.#goAway && !this.#write([this.#leave(this.#goAway)])) await this.#drained();
    if (this.#end) throw this.#end;
  }

  async #open(): Promise<void> {
    // The caller may have been blocked, or the key withdrawn, after the token was verified and before there was a stream.
    await this.#context.blockList.check(this.#identity);
    this.recheckKey();
    // close() may have run already; entering presence now would leak the lease.
    if (this.#end) throw this.#end;
    const user = this.#user;
    if (user) await this.#context.presence.enter(this.#connection(user));
    const rooms = (await this.#rooms?.start()) ?? [];
    for (const { roomId } of rooms) if (this.#rooms?.holds(roomId)) this.#feeds.add(this.#roomFeed(roomId), true);
    const { bounds, totals } = await this.#totals.start();
    // Check the positions before Hello, so that a bad request is an error and no stream. A position in a room that was
    // asked for and refused is no error: the room's event says more.
    const gaps = this.#feeds.start(bounds, new Set(this.#rooms?.requested.map(roomFeedName)));
    this.#delivery.replayState = totals?.state;
    const online = await this.#context.presence.count(this.#identity.tenant);
    this.#pending.sentOnline(online);
    const { positions } = this.#feeds;
    const { heartbeatMs } = this.#context.settings;
    const hello = helloFrame({ id: this.id, heartbeatMs, online, positions, gaps, totals });
    this.#context.streams.began(this);
    // A stream that is to end sends nothing but Hello before that.
    if (this.#goAway || this.#end) await this.#send([hello]);
    const start = [
      hello,
      ...rooms.map((value) => eventFrame({ case: "room", value })),
      ...gaps.map((gap) => eventFrame({ case: "gap", value: gap })),
    ];
    const behind = this.#feeds.all.filter((followed) => this.#reader.hasMissed(followed, seqOf(bounds, followed)));
    // Most streams have missed nothing: they get all up to CaughtUp by one write.
    if (behind.length > 0) await this.#send(start.splice(0));
    for (const followed of behind) await this.#sendAll(this.#reader.replay(followed, seqOf(bounds, followed)));
    this.#delivery.replayState = undefined;
    const reached = behind.length > 0 ? this.#feeds.positions : positions;
    await this.#send([...start, eventFrame({ case: "caughtUp", value: { positions: [...reached] } })]);
  }

  async #round(): Promise<void> {
    // The sink may still hold the batch of the last flush.
    if (!this.#timers.isSending) this.#writeLive();
    if (this.#timers.isSending) await this.#drained();
    // A stream that is to end reads nothing more.
    await this.#send([]);
    const missing = this.#reader.takeMissing();
    if (missing) {
      const { followed } = missing;
      const again = () => this.#retryLater(followed, () => followed.wake());
      await this.#sendAll(whileAvailable(this.#reader.readMissing(missing), again));
    }
    const { change } = this.#totals;
    if (change.due) {
      // The messages that it names may have changed again by then: let the reader list again.
      const again = () => this.#retryLater(change, () => this.#noteUnknownChange());
      await this.#sendAll(whileAvailable(this.#readState(change.take()), again));
    }
    for (const outcome of this.#rooms?.take() ?? []) await this.#sendAll(this.#room(outcome));
    if (this.#pending.due) await this.#send(this.#pending.take(this.#feeds.positions));
  }

  /**
   * A change of the read state with new totals: after all messages that they count, and before any that they do not. A
   * change from here on is sent later, with totals of its own.
   */
  async *#readState(change: NamedChange): AsyncGenerator<readonly Frame[]> {
    const totals = await this.#totals.recount();
    for (const [index, { name }] of (totals?.feeds ?? []).entries()) {
      const followed = this.#feeds.get(name);
      if (followed) yield* this.#reader.readTo(followed, totals?.bounds[index]?.seq ?? 0);
    }
    yield [eventFrame({ case: "readState", value: { ...change, ...(totals && { unread: totals.unread }) } })];
  }

  /** The event of a room that was entered late, refused or lost; then the missed messages of one that was entered. */
  async *#room(outcome: RoomOutcome): AsyncGenerator<readonly Frame[]> {
    const frame = eventFrame({ case: "room", value: outcome });
    // A room that was entered and lost since has a later outcome, which says so.
    if (!isJoined(outcome) || !this.#rooms?.holds(outcome.roomId)) {
      yield [frame];
      return;
    }
    const feed = this.#roomFeed(outcome.roomId);
    const followed = this.#feeds.add(feed, true);
    const [bounds] = await this.#context.store.bounds([feed.key]);
    const gap = this.#feeds.startOne(followed, bounds as FeedBounds);
    const user = this.#user;
    // Messages between the last totals and this point were neither counted nor sent.
    if (user) this.#noteTotals();
    yield [frame, ...(gap ? [eventFrame({ case: "gap", value: gap })] : [])];
    this.#delivery.replayState = user && (await this.#context.states.read(user)).state;
    yield* this.#reader.replay(followed, bounds?.seq);
    this.#delivery.replayState = undefined;
  }

  /** Calls `again` later, since the Store does not answer now. */
  #retryLater(subject: object, again: () => void): void {
    if (this.#phase === "closed") return;
    const { clock, random } = this.#context.settings;
    this.#storeRetry ??= new StoreRetry(clock, random);
    this.#storeRetry.add(subject, again);
  }

  /**
   * Writes the frames that the rings hold, at once and together. Returns false when the loop has to go on: the sink is
   * full, a busy feed has more, the Store has to be read, or something else is due.
   */
  #writeLive(): boolean {
    if (this.#end) return false;
    const batch = this.#reader.take();
    const isTaken = batch.length === 0 || this.#write(batch);
    return isTaken && !this.#hasWork;
  }

  get #hasWork(): boolean {
    return (
      this.#reader.hasNews ||
      this.#pending.due ||
      this.#totals.change.due ||
      this.#rooms?.hasOutcomes === true ||
      this.#phase === "ending" ||
      this.#phase === "closed"
    );
  }

  /** Writes a batch that is not empty. Returns false when no more may follow before `#drained`. */
  #write(batch: readonly Frame[]): boolean {
    const isTaken = (this.#sink as Sink).write(batch);
    if (isTaken) this.#timers.sent();
    else this.#timers.sending();
    return isTaken;
  }

  async #drained(): Promise<void> {
    await (this.#sink as Sink).drained();
    this.#timers.sent();
  }

  /** Makes the stream idle if nothing is left to do and the sink takes more (`isDone`), and otherwise continues the loop. */
  #flushed(isDone: boolean): void {
    if (isDone && this.#move("queued", "idle")) return;
    this.#move("queued", "busy");
    this.#continue();
  }

  #continue(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    // Not within the flush: other streams still wait there for their messages.
    void this.#loop(Promise.resolve());
  }

  #move(from: Phase, to: Phase): boolean {
    if (this.#phase !== from) return false;
    this.#phase = to;
    return true;
  }

  #startEnding(): void {
    // A loop that waits resumes at the end of the tick.
    this.wake();
    if (this.#phase !== "closed") this.#phase = "ending";
  }

  #leave({ afterMs, message }: { afterMs: number; message: string }): Frame {
    this.#end ??= fail("SERVER_DRAINING", message, { retryAfterMs: afterMs });
    return goAwayFrame(afterMs, "SERVER_DRAINING", message);
  }

  #noteTotals(): void {
    this.#totals.change.totalsOnly();
    this.wake();
  }

  #noteUnknownChange(): void {
    this.#totals.change.add(unknownChange);
    this.wake();
  }

  /** The caller if it is a user; undefined for a service. */
  get #user(): UserIdentity | undefined {
    return isUser(this.#identity) ? this.#identity : undefined;
  }

  #roomFeed(room: string) {
    return roomFeed(this.#identity.tenant ?? "", room);
  }

  #connection({ tenant, subject: user }: UserIdentity) {
    return { id: this.id, tenant, user };
  }
}

function seqOf(bounds: ReadonlyMap<string, FeedBounds>, { cursor }: FollowedFeed): number {
  return bounds.get(cursor.feed.name)?.seq ?? 0;
}
