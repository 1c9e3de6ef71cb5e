/**
 * ⑤ One open stream: a cursor per feed over frames that all streams share. What the ring of a feed no longer holds is
 * read from the Store, so two seconds and two weeks offline take the same path, and a slow reader costs others nothing.
 */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { type Gap, RoomState_Status, type SubscribeRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import { disconnected } from "../auth/block-list.ts";
import { type Identity, isUser, type UserIdentity } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import { followedFeeds } from "../feeds/feed.ts";
import type { UserFollower } from "../feeds/hub.ts";
import type { Totals } from "../inbox/inbox.ts";
import { ReadChange, unknownChange } from "../inbox/read-change.ts";
import type { Transport } from "../metrics/counters.ts";
import type { DisconnectNotice, ReadNotice, RecallNotice } from "../ports/bus.ts";
import type { FeedBounds } from "../ports/store.ts";
import { roomFeed, roomOf } from "../rooms/grants.ts";
import { eventFrame, type Frame, goAwayFrame } from "../wire/frame.ts";
import { BatchSink, type Sink } from "../wire/sink.ts";
import type { StreamContext } from "./context.ts";
import { Delivery } from "./delivery.ts";
import { DirtyFeeds } from "./dirty-feeds.ts";
import { type FollowedFeed, FollowedFeeds, type FollowingStream } from "./followed-feeds.ts";
import { Pending } from "./pending.ts";
import { checkStreams } from "./registry.ts";
import { Replay } from "./replay.ts";
import { type RoomOutcome, type RoomsOwner, StreamRooms } from "./rooms.ts";
import { StartPositions } from "./start-positions.ts";
import { StoreRetry } from "./store-retry.ts";
import { type TimerActions, Timers } from "./timers.ts";
import { StreamTotals } from "./totals.ts";
import { Writer } from "./writer.ts";

/** One stream. Iterate `batches()` once, and call `close()` when the transport is gone, however it went. */
export class Subscription implements FollowingStream, UserFollower, TimerActions, RoomsOwner {
  readonly id: string;
  readonly transport: Transport;
  readonly #context: StreamContext;
  #user: UserIdentity | undefined;
  readonly #given: StartPositions;
  readonly #catchUp: Replay;
  readonly #follows: FollowedFeeds;
  /** Unset where none was asked for. */
  readonly #rooms: StreamRooms | undefined;
  readonly #deadlines: Timers;
  readonly #outlet: Writer;
  readonly #change = new ReadChange();
  readonly #delivery: Delivery;
  readonly #news: DirtyFeeds;
  readonly #totals: StreamTotals;
  readonly #secondTries: StoreRetry;
  #identity: Identity;
  readonly #pulse = new Pending();
  #goAway: { afterMs: number; message: string } | undefined;
  #end: ConnectError | undefined;
  #closed = false;
  #woken = false;
  /** The turn will flush it. */
  #queued = false;
  /** The sink takes nothing for now. */
  #full = false;
  /** Set while the loop has nothing to do. */
  #resume: (() => void) | undefined;
  #unwatchOnline: (() => void) | undefined;
  readonly #cut: () => void;
  /** When, by the node's clock. */
  readonly #opened: number;

  /** `cut` ends a transport that takes nothing any more. The request has passed validation. */
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
    this.#user = isUser(identity) ? identity : undefined;
    if (this.#user) checkStreams(context.hub, context.settings.maxStreamsPerUser, this.#user);
    this.#given = new StartPositions(request.positions);
    const { heartbeatMs, timeouts, clock, random } = context.settings;
    this.#secondTries = new StoreRetry(clock, random);
    if (request.rooms.length > 0) this.#rooms = new StreamRooms(context, identity, { ...request, id: this.id }, this);
    const times = { heartbeatMs, stallMs: timeouts.stallMs, tokenExpiry: identity.expireTime };
    this.#deadlines = new Timers(clock, times, this);
    this.#cut = cut;
    this.#opened = clock.now();
    this.#outlet = new Writer(this.#deadlines);
    this.#delivery = new Delivery(context, this.#user, request, { change: this.#change, deadlines: this.#deadlines });
    this.#news = new DirtyFeeds(this.#delivery);
    this.#catchUp = new Replay(context, this.#delivery);
    this.#follows = new FollowedFeeds(context.hub, this);
    this.#totals = new StreamTotals(context, this.#follows, this.#delivery, this.#catchUp);
    for (const feed of followedFeeds(identity)) this.#follows.add(feed, true);
    context.streams.add(this, identity.tenant);
    context.counters.opened(transport);
    if (this.#user) context.hub.joinUser(this.#user.tenant, this.#user.subject, this);
    if (request.onlineCount && identity.tenant !== undefined) {
      this.#unwatchOnline = context.online.watch(identity.tenant, (online) =>
        this.#note(() => this.#pulse.online(online)),
      );
    }
  }

  /** Hello, what was missed, CaughtUp, then live, into the sink. Ends only by rejecting; to be called once. */
  async run(sink: Sink): Promise<never> {
    this.#outlet.open(sink);
    try {
      await this.#tell(this.#opening());
      for (;;) {
        await this.#tell(this.#round());
        // Nothing but this loop waits: what a stream knew while it opened would be held for hours.
        if (!this.#woken && !this.#due) await new Promise<void>((resolve) => (this.#resume = resolve));
      }
    } finally {
      this.close();
    }
  }

  /** The same as batches that are never empty, for who asks for the next one; after Hello into `following`, if there is one. */
  batches(following?: Sink): AsyncGenerator<readonly Frame[]> {
    return new BatchSink(following).read(
      (sink) => this.run(sink),
      () => this.close(),
    );
  }

  /** The end of the node's turn: what is live goes out at once, and all else to the loop. */
  flush(): void {
    this.#queued = false;
    if (this.#resume === undefined || this.#live()) return;
    const resume = this.#resume;
    this.#resume = undefined;
    resume();
  }

  async #tell(batches: AsyncGenerator<readonly Frame[]>): Promise<void> {
    for await (const batch of batches) {
      if (batch.length > 0) await this.#outlet.send(batch);
      if (this.#goAway) await this.#outlet.send([this.#leave(this.#goAway)]);
      if (this.#end) throw this.#end;
    }
  }

  /** A fresh token of the same caller: the stream ends with it, and keeps the rooms that it still opens. */
  async refresh(identity: Identity): Promise<void> {
    const inbox = this.#user?.rooms.join("\n");
    this.#identity = identity;
    this.#deadlines.extendToken(identity.expireTime);
    if (isUser(identity)) this.#user = identity;
    await this.#rooms?.recheck(identity);
    if (!this.#user || this.#user.rooms.join("\n") === inbox) return;
    await this.#context.states.load(this.#user);
    this.#note(() => this.#change.totalsOnly());
  }

  /** Whether its reader takes nothing for now, or it waits for the Store; and bytes in its transport. */
  get load(): { readonly lagging: boolean; readonly queued: number } {
    return { lagging: this.#outlet.full || this.#catchUp.reading, queued: this.#outlet.queued };
  }

  /** Ends the stream with an error, at its next step. */
  end(error: ConnectError): void {
    this.#note(() => (this.#end ??= error));
  }

  /** Says go_away and ends, at its next step. */
  drain(afterMs: number, message: string): void {
    this.#note(() => (this.#goAway = { afterMs, message }));
  }

  /** Another stream took the room: nothing of it is sent from now on. */
  kick(room: string): void {
    this.#rooms?.kick(room);
  }

  /** Whether the stream is the user's, and was opened with this token; "" is any. */
  isOf({ tenant, user, tokenId }: { tenant: string; user: string; tokenId: string }): boolean {
    const own = this.#user?.tenant === tenant && this.#user.subject === user;
    return own && (tokenId === "" || this.#identity.tokenId === tokenId);
  }

  /** Frees all that the stream holds on the node. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deadlines.close();
    this.#secondTries.close();
    this.#rooms?.close();
    this.#unwatchOnline?.();
    this.#follows.close();
    if (this.#user) {
      this.#context.hub.leaveUser(this.#user.tenant, this.#user.subject, this);
      // A lease that cannot be returned runs out by itself.
      this.#context.presence.leave(this.#connection(this.#user)).catch(() => {});
    }
    this.#context.streams.delete(this);
    this.end(fail("STREAM_CLOSED", "the client closed the stream"));
  }

  wake(followed?: FollowedFeed): void {
    this.#woken = true;
    if (followed) this.#news.add(followed);
    if (this.#resume && !this.#queued) this.#queue();
  }

  #queue(): void {
    this.#queued = true;
    this.#context.flushQueue.add(this);
  }

  readChanged(notice: ReadNotice): void {
    this.#note(() => this.#change.add(notice));
  }

  recalled({ ids }: RecallNotice): void {
    this.#note(() => this.#change.add({ ...unknownChange, deletedIds: ids }));
  }

  recheck(version: number): void {
    const told = this.#totals.version;
    if (told !== undefined && told !== version) this.#note(() => this.#change.add(unknownChange));
    void this.#context.blockList.recheck(this.#identity, this.#opened, (error) => this.end(error));
  }

  disconnected(notice: DisconnectNotice): void {
    if (!this.isOf(notice)) return;
    this.end(disconnected(notice.reason));
  }

  lost(room: string): void {
    this.#follows.hide(feedOf(room));
  }

  beat(): void {
    this.#note(() => this.#pulse.beat());
  }

  messageExpired(): void {
    this.#note(() => this.#change.totalsOnly());
  }

  tokenExpired(): void {
    this.end(fail("TOKEN_EXPIRED", "the token has expired; reconnect with a fresh one"));
  }

  stalled(): void {
    const sentence = "the reader took nothing for too long; reconnect with the last positions";
    this.end(fail("READER_TOO_SLOW", sentence, { retryAfterMs: 1000 }));
    this.#cut();
  }

  async *#opening(): AsyncGenerator<readonly Frame[]> {
    // A block may have come between the check of the token and the stream that would have been ended.
    await this.#context.blockList.check(this.#identity);
    // Closed before its first step: what it would enter now, nobody would leave.
    if (this.#end) throw this.#end;
    if (this.#user) await this.#context.presence.enter(this.#connection(this.#user));
    const rooms = (await this.#rooms?.start()) ?? [];
    for (const { roomId } of rooms) if (this.#rooms?.holds(roomId)) this.#follows.add(this.#roomFeed(roomId), true);
    const { heads, totals } = await this.#totals.start(this.#user);
    const gaps = this.#start(heads);
    this.#delivery.replayed = totals?.state;
    const hello = await this.#hello(totals, gaps);
    this.#context.streams.began(this);
    yield [hello];
    yield rooms.map((value) => eventFrame({ case: "room", value }));
    yield gaps.map((gap) => eventFrame({ case: "gap", value: gap }));
    for (const followed of this.#follows.all) yield* this.#replay(followed, heads.get(followed.cursor.feed.name)?.seq);
    this.#delivery.replayed = undefined;
    yield [eventFrame({ case: "caughtUp", value: { positions: this.#follows.positions } })];
  }

  async *#round(): AsyncGenerator<readonly Frame[]> {
    // What the turn has flushed may still be in the sink.
    if (!this.#full) this.#live();
    if (this.#full) await this.#outlet.drained();
    this.#full = false;
    // Nothing more is read for a stream that is to end.
    yield [];
    const behind = this.#news.takeBehind();
    if (behind) {
      const { followed, seq } = behind;
      yield* this.#secondTries.over(this.#catchUp.to(followed, seq), followed, () => followed.wake());
    }
    if (this.#change.due) {
      // What it named may have changed once more by then: the reader is told to list again.
      const again = () => this.#note(() => this.#change.add(unknownChange));
      yield* this.#secondTries.over(this.#totals.tell(this.#user, this.#change.take()), this.#change, again);
    }
    for (const outcome of this.#rooms?.take() ?? []) yield* this.#room(outcome);
    if (this.#pulse.due) yield this.#pulse.take(this.#follows.positions);
  }

  /** Sets the cursors to the positions given; the checks come before Hello, so that a bad request is an error and no stream. */
  #start(heads: ReadonlyMap<string, FeedBounds>): Gap[] {
    // A room that was asked for and refused has a room event, which says more.
    const wished = new Set(this.#rooms?.wished.map(feedOf));
    this.#given.check((feed) => this.#follows.get(feed)?.shown || wished.has(feed));
    return this.#follows.all
      .filter(({ shown }) => shown)
      .map(({ cursor }) => cursor.start(heads.get(cursor.feed.name) as FeedBounds, this.#given.get(cursor.feed.name)))
      .filter((gap) => gap !== undefined);
  }

  /** A reader that is gone after it and before a gap must hear of that gap when it is back. */
  async #hello(totals: Totals | undefined, gaps: readonly Gap[]): Promise<Frame> {
    const { tenant } = this.#identity;
    const online = await this.#context.presence.count(tenant);
    this.#pulse.showed(online);
    return eventFrame({
      case: "hello",
      value: {
        subscriptionId: this.id,
        heartbeatInterval: durationFromMs(this.#context.settings.heartbeatMs),
        online,
        positions: this.#follows.positions.map((at) => gaps.find(({ to }) => to?.feed === at.feed)?.from ?? at),
        ...(totals ? { unread: totals.unread } : {}),
      },
    });
  }

  /** What was missed; who enters a room without a position gets the events that are kept for this. */
  async *#replay(followed: FollowedFeed, seq = 0): AsyncGenerator<readonly Frame[]> {
    const { feed } = followed.cursor;
    if (followed.shown && roomOf(feed.name) !== undefined && !this.#given.get(feed.name)) {
      yield* this.#catchUp.keptEvents(followed, seq);
    }
    yield* this.#catchUp.to(followed, seq);
  }

  /** A room was entered late, refused or lost. */
  async *#room(outcome: RoomOutcome): AsyncGenerator<readonly Frame[]> {
    const frame = eventFrame({ case: "room", value: outcome });
    // One that was entered and is lost already has an outcome to come that says so.
    if (!isJoined(outcome) || !this.#rooms?.holds(outcome.roomId)) {
      yield [frame];
      return;
    }
    const feed = this.#roomFeed(outcome.roomId);
    const followed = this.#follows.add(feed, true);
    const [head] = await this.#context.store.bounds([feed.key]);
    const gap = followed.cursor.start(head as FeedBounds, this.#given.get(feed.name));
    // What came between the last totals and here was neither counted nor seen.
    if (this.#user) this.#note(() => this.#change.totalsOnly());
    yield [frame, ...(gap ? [eventFrame({ case: "gap", value: gap })] : [])];
    this.#delivery.replayed = this.#user && (await this.#context.states.read(this.#user)).state;
    yield* this.#replay(followed, head?.seq);
    this.#delivery.replayed = undefined;
  }

  /**
   * Sends what the rings have, by one write. Answers false when the loop has to go on: the sink is full, or something
   * else is due. What is left waits for the next round, so that a busy feed does not keep the others, the totals and
   * heartbeats from a slow reader; what a ring no longer has comes from the Store.
   */
  #live(): boolean {
    this.#woken = false;
    if (this.#end) return false;
    const batch = this.#news.take();
    if (batch.length > 0) this.#full = !this.#outlet.write(batch);
    return !(this.#full || this.#woken || this.#news.isBehind || this.#due);
  }

  /** Something besides messages is to be told. */
  get #due(): boolean {
    return Boolean(this.#end || this.#goAway || this.#pulse.due || this.#change.due || this.#rooms?.hasOutcomes);
  }

  #leave({ afterMs, message }: { afterMs: number; message: string }): Frame {
    this.#end ??= fail("SERVER_DRAINING", message, { retryAfterMs: afterMs });
    return goAwayFrame(afterMs, "SERVER_DRAINING", message);
  }

  #note(change: () => unknown): void {
    change();
    this.wake();
  }

  #roomFeed(room: string) {
    return roomFeed(this.#identity.tenant ?? "", room);
  }

  #connection({ tenant, subject: user }: UserIdentity) {
    return { id: this.id, tenant, user };
  }
}

function isJoined({ status }: RoomOutcome): boolean {
  return status === RoomState_Status.JOINED;
}

function feedOf(room: string): string {
  return `room/${room}`;
}
