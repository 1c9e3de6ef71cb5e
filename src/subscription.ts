/**
 * ⑤ One open stream: a cursor per feed over frames that all streams share. What the ring of a feed no longer holds is
 * read from the Store, so two seconds and two weeks offline take the same path, and a slow reader costs others nothing.
 */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { Kind, type Message } from "../gen/tidings/v1/message_pb.ts";
import type { Gap, SubscribeRequest } from "../gen/tidings/v1/push_service_pb.ts";
import type { ReadNotice, RecallNotice } from "./bus.ts";
import { Cursor } from "./cursor.ts";
import { Deadlines } from "./deadlines.ts";
import { fail } from "./errors.ts";
import { followedFeeds } from "./feeds.ts";
import { eventFrame, type Frame, MessageFrame } from "./frame.ts";
import type { Follower } from "./hub.ts";
import { type Identity, isUser, type UserIdentity } from "./identity.ts";
import type { Totals } from "./inbox.ts";
import type { Node } from "./node.ts";
import type { OnlineTally } from "./presence.ts";
import { ReadChange } from "./read-change.ts";
import type { ReadState } from "./read-state.ts";
import type { Entry, Head } from "./store.ts";

/** Frames that the transport is handed at once. */
const batchSize = 64;
const endless = Number.POSITIVE_INFINITY;

/** One stream. Iterate `batches()` once, and call `close()` when the transport is gone, however it went. */
export class Subscription implements Follower {
  readonly id: string;
  readonly #node: Node;
  readonly #identity: Identity;
  readonly #user: UserIdentity | undefined;
  readonly #request: SubscribeRequest;
  readonly #cursors: readonly Cursor[];
  readonly #deadlines: Deadlines;
  readonly #change = new ReadChange();
  /** Per inbox feed, the seq up to which the totals last told are exact, and the oldest unread one. */
  #counted: { through: number; oldest: number }[] = [];
  /** During the replay: what the user has deleted is not sent again. */
  #replayed: ReadState | undefined;
  #online: OnlineTally | undefined;
  /** The online count that the reader has. */
  #shown: OnlineTally | undefined;
  #beat = false;
  #goAway: { afterMs: number; reason: string } | undefined;
  #end: ConnectError | undefined;
  #closed = false;
  #woken = false;
  #resume: () => void = () => {};
  #unwatchOnline: () => void = () => {};

  /** `cut` ends a transport that takes nothing any more. The request has passed validation. */
  constructor(node: Node, identity: Identity, request: SubscribeRequest, cut: () => void) {
    this.id = node.newId();
    this.#node = node;
    this.#identity = identity;
    this.#user = isUser(identity) ? identity : undefined;
    this.#request = request;
    if (request.rooms.length > 0) throw fail("NOT_BUILT", "rooms are not served yet", { field: "rooms" });
    this.#checkStreams();
    const { heartbeatMs, timeouts, clock } = node.settings;
    const times = { heartbeatMs, stallMs: timeouts.stallMs, tokenExpiry: identity.expireTime };
    this.#deadlines = new Deadlines(clock, times, {
      beat: () => this.#note(() => (this.#beat = true)),
      messageExpired: () => this.#note(() => this.#change.totalsOnly()),
      tokenExpired: () => this.end(fail("TOKEN_EXPIRED", "the token has expired; reconnect with a fresh one")),
      stalled: () => {
        const sentence = "the reader took nothing for too long; reconnect with the last positions";
        this.end(fail("READER_TOO_SLOW", sentence, { retryAfterMs: 1000 }));
        cut();
      },
    });
    this.#cursors = followedFeeds(identity).map((feed) => new Cursor(feed, node.hub.follow(feed, this)));
    node.streams.add(this);
    if (this.#user) node.hub.joinUser(this.#user.tenant, this.#user.subject, this);
    if (request.onlineCount && identity.tenant !== undefined) {
      this.#unwatchOnline = node.online.watch(identity.tenant, (online) => this.#note(() => (this.#online = online)));
    }
  }

  /** Hello, what was missed, CaughtUp, then live: batches that are never empty. Ends only by throwing. */
  async *batches(): AsyncGenerator<readonly Frame[]> {
    try {
      for await (const batch of this.#events()) {
        if (batch.length > 0) yield* this.#send(batch);
        if (this.#goAway) yield* this.#send([this.#leave(this.#goAway)]);
        if (this.#end) throw this.#end;
      }
    } finally {
      this.close();
    }
  }

  *#send(batch: readonly Frame[]): Generator<readonly Frame[]> {
    this.#deadlines.sending();
    yield batch;
    this.#deadlines.sent();
  }

  /** The transport made progress within a batch. */
  progress(): void {
    this.#deadlines.sending();
  }

  /** A fresh token of the same caller ends then. */
  extendToken(expireTime: number): void {
    this.#deadlines.extendToken(expireTime);
  }

  /** Ends the stream with an error, at its next step. */
  end(error: ConnectError): void {
    this.#note(() => (this.#end ??= error));
  }

  /** Says go_away and ends, at its next step. */
  drain(afterMs: number, reason: string): void {
    this.#note(() => (this.#goAway = { afterMs, reason }));
  }

  /** Frees all that the stream holds on the node. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deadlines.close();
    this.#unwatchOnline();
    for (const { feed } of this.#cursors) this.#node.hub.unfollow(feed, this);
    if (this.#user) {
      this.#node.hub.leaveUser(this.#user.tenant, this.#user.subject, this);
      // A lease that cannot be returned runs out by itself.
      this.#node.presence.leave(this.#connection(this.#user)).catch(() => {});
    }
    this.#node.streams.delete(this);
    this.end(fail("STREAM_CLOSED", "the client closed the stream"));
  }

  wake(): void {
    this.#woken = true;
    this.#resume();
  }

  readChanged(notice: ReadNotice): void {
    this.#note(() => this.#change.add(notice));
  }

  recalled({ ids }: RecallNotice): void {
    this.#note(() => this.#change.add({ readIds: [], unreadIds: [], deletedIds: ids, all: false }));
  }

  async *#events(): AsyncGenerator<readonly Frame[]> {
    // Closed before its first step: what it would enter now, nobody would leave.
    if (this.#end) throw this.#end;
    if (this.#user) await this.#node.presence.enter(this.#connection(this.#user));
    const { heads, totals } = await this.#look();
    const gaps = this.#start(heads);
    this.#replayed = totals?.state;
    yield [await this.#hello(totals)];
    yield gaps.map((gap) => eventFrame({ case: "gap", value: gap }));
    for (const [index, cursor] of this.#cursors.entries()) yield* this.#advance(cursor, heads[index]?.seq ?? 0);
    this.#replayed = undefined;
    yield [eventFrame({ case: "caughtUp", value: { positions: this.#positions() } })];
    for (;;) {
      this.#woken = false;
      for (const cursor of this.#cursors) yield* this.#live(cursor);
      if (this.#change.due) yield* this.#readState();
      yield this.#control();
      if (!this.#woken) await new Promise<void>((resolve) => (this.#resume = resolve));
    }
  }

  /** Heads of all feeds that are followed, and the totals that are exact up to them. */
  async #look(): Promise<{ heads: readonly Head[]; totals: Totals | undefined }> {
    const keys = this.#cursors.map(({ feed }) => feed.key);
    if (!this.#user) return { heads: await this.#node.store.heads(keys), totals: undefined };
    const totals = await this.#totals(this.#user);
    const rest = await this.#node.store.heads(keys.slice(totals.heads.length));
    return { heads: [...totals.heads, ...rest], totals };
  }

  async #totals(user: UserIdentity): Promise<Totals> {
    const totals = await this.#node.inbox.totals(user);
    this.#counted = totals.heads.map(({ seq }, index) => ({ through: seq, oldest: totals.oldest[index] ?? endless }));
    this.#deadlines.messageExpires(totals.nextExpiry);
    return totals;
  }

  /** Sets the cursors to the positions given; the checks come before Hello, so that a bad request is an error and no stream. */
  #start(heads: readonly Head[]): Gap[] {
    const given = new Map(
      this.#request.positions.map((position, index) => [position.feed, { position, field: `positions[${index}]` }]),
    );
    const known = new Set(this.#cursors.map(({ feed }) => feed.name));
    for (const [feed, { field }] of given) {
      if (known.has(feed)) continue;
      throw fail("POSITION_INVALID", `the caller does not follow ${feed}; leave it out`, { field: `${field}.feed` });
    }
    if (given.size < this.#request.positions.length)
      throw fail("POSITION_INVALID", "give one position per feed", { field: "positions" });
    return this.#cursors
      .map((cursor, index) => cursor.start(heads[index] as Head, given.get(cursor.feed.name)))
      .filter((gap) => gap !== undefined);
  }

  async #hello(totals: Totals | undefined): Promise<Frame> {
    const { tenant } = this.#identity;
    const online = await this.#node.presence.count(tenant);
    this.#shown = online;
    return eventFrame({
      case: "hello",
      value: {
        subscriptionId: this.id,
        heartbeatInterval: durationFromMs(this.#node.settings.heartbeatMs),
        online,
        positions: this.#positions(),
        ...(totals ? { unread: totals.unread } : {}),
      },
    });
  }

  /**
   * Sends a batch of what the ring has; what it no longer has comes from the Store first. What is left waits for the
   * next round, so that a busy feed does not keep the others, the totals and heartbeats from a slow reader.
   */
  async *#live(cursor: Cursor): AsyncGenerator<readonly Frame[]> {
    const { frames, missing } = cursor.take(batchSize, endless);
    if (missing !== undefined || frames.length === batchSize) this.#woken = true;
    yield this.#wanted(cursor, frames);
    if (missing !== undefined) yield* this.#advance(cursor, missing);
  }

  /** Sends all up to `seq` and nothing beyond. */
  async *#advance(cursor: Cursor, seq: number): AsyncGenerator<readonly Frame[]> {
    while (cursor.seq < seq) {
      const { frames } = cursor.take(batchSize, seq);
      yield this.#wanted(cursor, frames);
      if (frames.length > 0) continue;
      const { feed } = cursor;
      const stretch = await this.#node.store.read(feed.key, cursor.seq, seq, batchSize, this.#now());
      const gap = cursor.skipTrimmed(stretch.head);
      if (gap) yield [eventFrame({ case: "gap", value: gap })];
      yield this.#wanted(
        cursor,
        stretch.entries.map((entry) => toFrame(feed.name, entry)),
      );
      // The Store knows of nothing up to `seq` beyond this: it was told of it by the Store itself.
      if (stretch.through <= cursor.seq && !gap) return;
      cursor.seq = Math.max(cursor.seq, stretch.through);
    }
  }

  /** Tells totals where they are true: after all messages that they count, before any that they do not. */
  async *#readState(): AsyncGenerator<readonly Frame[]> {
    // A change that comes from here on is told with totals of its own.
    const change = this.#change.take();
    const totals = this.#user && (await this.#totals(this.#user));
    for (const [index, head] of (totals?.heads ?? []).entries()) {
      const cursor = this.#cursors[index];
      if (cursor) yield* this.#advance(cursor, head.seq);
    }
    yield [eventFrame({ case: "readState", value: { ...change, ...(totals && { unread: totals.unread }) } })];
  }

  /** Frames that pass the filters and have not expired. */
  #wanted(cursor: Cursor, frames: readonly MessageFrame[]): readonly Frame[] {
    const now = this.#now();
    const deleted = this.#replayed?.deleted(cursor.feed.name);
    return frames.filter((frame) => {
      if (frame.recalled || frame.expireTime <= now || deleted?.has(frame.seq)) return false;
      const passes = this.#passes(frame.message);
      this.#recount(cursor, frame, passes);
      return passes;
    });
  }

  /** Sees to new totals where the reader's own counting, one more for each notification, would go wrong. */
  #recount(cursor: Cursor, { seq, expireTime, message }: MessageFrame, passes: boolean): void {
    const counted = this.#counted[this.#cursors.indexOf(cursor)];
    if (counted === undefined || seq <= counted.through) return;
    // A full feed drops its oldest message with each new one.
    if (seq - this.#node.settings.retention.count >= counted.oldest) this.#change.totalsOnly();
    if (message.kind !== Kind.NOTIFICATION) return;
    counted.oldest = Math.min(counted.oldest, seq);
    this.#deadlines.messageExpires(expireTime);
    // The reader cannot count what it does not see.
    if (!passes) this.#change.totalsOnly();
  }

  #passes({ kind, category, event }: Message): boolean {
    const { kinds, categories, events } = this.#request;
    return (
      (kinds.length === 0 || kinds.includes(kind)) &&
      (categories.length === 0 || categories.includes(category)) &&
      (events.length === 0 || events.includes(event))
    );
  }

  #control(): readonly Frame[] {
    const frames: Frame[] = [];
    if (this.#online && !sameCount(this.#online, this.#shown)) {
      frames.push(eventFrame({ case: "online", value: this.#online }));
      this.#shown = this.#online;
    }
    if (this.#beat) frames.push(eventFrame({ case: "heartbeat", value: { positions: this.#positions() } }));
    this.#online = undefined;
    this.#beat = false;
    return frames;
  }

  #leave({ afterMs, reason }: { afterMs: number; reason: string }): Frame {
    this.#end ??= fail("SERVER_DRAINING", reason, { retryAfterMs: afterMs });
    return eventFrame({ case: "goAway", value: { reconnectAfter: durationFromMs(afterMs), reason } });
  }

  #note(change: () => unknown): void {
    change();
    this.wake();
  }

  /** A page in a loop of reconnects must not eat the node. */
  #checkStreams(): void {
    const { hub, settings } = this.#node;
    if (!this.#user || hub.streamsOf(this.#user.tenant, this.#user.subject) < settings.maxStreamsPerUser) return;
    const sentence = `the user has ${settings.maxStreamsPerUser} open streams; close some`;
    throw fail("TOO_MANY_STREAMS", sentence, {
      retryAfterMs: 5000,
      metadata: { limit: String(settings.maxStreamsPerUser) },
    });
  }

  #connection({ tenant, subject: user }: UserIdentity) {
    return { id: this.id, tenant, user };
  }

  #positions() {
    return this.#cursors.map(({ position }) => position);
  }

  #now(): number {
    return this.#node.settings.clock.now();
  }
}

function sameCount(a: OnlineTally, b: OnlineTally | undefined): boolean {
  return a.users === b?.users && a.connections === b.connections;
}

function toFrame(feed: string, { body, expireTime, id, seq, epoch }: Entry): MessageFrame {
  return new MessageFrame(body, expireTime, { id, seq, position: { feed, epoch, seq: String(seq) } });
}
