/**
 * Port Bus between the event-loop threads of one process: a port between each two of them. A thread packs the notices of an
 * event-loop tick once, and posts the same message to every other thread that wants all of them; a thread that wants some
 * gets a message with these.
 *
 * A port delivers every message in order, so notices are lost in four ways, each of which is detected:
 * - A blocked thread takes no messages, and beyond a limit it is sent none. One of its cells says how many were dropped.
 * - A thread that died may have had notices to send. Its ports close without a goodbye.
 * - A blocked thread may have stored messages that it has not announced. Its heartbeat, a cell, does not grow.
 * - A new thread is sent nothing before the others know of it. Each of them greets it then.
 */
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { Logger } from "pino";
import type { Bus, BusEvent, BusFigures, FeedInterest, Notice } from "../../ports/bus.ts";
import { guard, warn } from "../../util/guard.ts";
import { Listeners } from "../../util/listeners.ts";
import { interestSlot, ThreadInterest, wants } from "./interest.ts";
import { cells, type PeerMessage, type ThreadLink } from "./link.ts";
import { type NoticeMessage, NoticePacker, unpackNotices } from "./notices.ts";

/** The most bytes on their way to one thread. */
const maxInFlightBytes = 16 * 1024 * 1024;
const checkMs = 500;
/** After this many checks, 3 s, in which the heartbeat of a thread has not grown, it is silent. */
const silentChecks = 6;
/** The number of checks between two LostNotices about silent threads. */
const checksPerPoll = 3;

/** A message between two threads. */
type Message =
  | NoticeMessage
  /** The receiver gets the sender's notices from now on. */
  | "hello"
  /** The sender closes, and has sent everything. */
  | "goodbye";

interface Peer {
  readonly port: MessagePort;
  readonly cells: Int32Array;
  heartbeat: number;
  /** Checks in which the heartbeat has not grown. */
  quietChecks: number;
}

/** The bus of one event-loop thread. */
export class ThreadBus implements Bus {
  readonly #control: MessagePort;
  readonly #cells: Int32Array;
  readonly #logger: Logger | undefined;
  readonly #listeners = new Listeners<BusEvent>();
  readonly #peers = new Map<number, Peer>();
  readonly #timer: NodeJS.Timeout;
  #outbox: Notice[] = [];
  /** The number of dropped messages to this thread that its listeners know of. */
  #reportedDrops = 0;
  #checksSincePoll = 0;
  #isClosed = false;
  #losses = 0;
  #sent = 0;
  #heard = 0;
  #dropped = 0;

  constructor({ bus: control, cells: own }: Pick<ThreadLink, "bus" | "cells">, logger?: Logger) {
    this.#control = control;
    this.#cells = new Int32Array(own);
    this.#logger = logger;
    control.on("message", (peer: PeerMessage) => this.#meet(peer));
    control.unref();
    // The messages about threads that already run have arrived with the link.
    for (let first = receiveMessageOnPort(control); first; first = receiveMessageOnPort(control))
      this.#meet(first.message as PeerMessage);
    Atomics.add(this.#cells, cells.heartbeat, 1);
    this.#timer = setInterval(() => guard(warn, () => this.#check()), checkMs).unref();
  }

  publish(notices: readonly Notice[]): void {
    if (this.#isClosed) return;
    if (this.#outbox.length === 0 && notices.length > 0) setImmediate(() => guard(warn, () => this.#flush()));
    for (const notice of notices) this.#outbox.push(notice);
    for (const notice of notices) this.#listeners.call(notice);
  }

  subscribe(listener: (event: BusEvent) => void): () => void {
    return this.#listeners.add(listener);
  }

  restrict(): FeedInterest {
    const interest = new ThreadInterest(this.#cells);
    interest.restrict();
    return interest;
  }

  figures(): BusFigures {
    return {
      connected: true,
      losses: this.#losses,
      sent: this.#sent,
      heard: this.#heard,
      dropped: this.#dropped,
    };
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#flush();
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#listeners.clear();
    for (const { port } of this.#peers.values()) {
      port.postMessage("goodbye" satisfies Message);
      port.close();
    }
    this.#peers.clear();
    this.#control.close();
  }

  #meet({ id, port, cells: theirs, isNew }: PeerMessage): void {
    const peer: Peer = { port, cells: new Int32Array(theirs), heartbeat: 0, quietChecks: 0 };
    this.#peers.set(id, peer);
    port.on("message", (message: Message) => this.#take(id, message));
    port.on("close", () => this.#lose(id));
    port.unref();
    if (isNew) port.postMessage("hello" satisfies Message);
  }

  #flush(): void {
    const notices = this.#outbox;
    this.#outbox = [];
    if (notices.length === 0 || this.#peers.size === 0) return;
    const slots = notices.map(interestSlot);
    const packer = new NoticePacker(notices);
    for (const peer of this.#peers.values()) {
      const message = packer.pack((index) => wants(peer.cells, slots[index]));
      if (message) this.#send(peer, message);
    }
  }

  #send({ port, cells: theirs }: Peer, message: NoticeMessage): void {
    const inFlight = Atomics.load(theirs, cells.inFlight);
    if (inFlight > 0 && inFlight + message.size > maxInFlightBytes) {
      this.#dropped++;
      Atomics.add(theirs, cells.dropped, 1);
      return;
    }
    this.#sent++;
    Atomics.add(theirs, cells.inFlight, message.size);
    port.postMessage(message);
  }

  #take(id: number, message: Message): void {
    if (message === "goodbye") this.#peers.delete(id);
    else if (message === "hello") this.#report(false);
    else {
      Atomics.sub(this.#cells, cells.inFlight, message.size);
      this.#heard++;
      for (const notice of unpackNotices(message)) this.#listeners.call(notice);
    }
  }

  #lose(id: number): void {
    if (this.#isClosed || !this.#peers.delete(id)) return;
    this.#logger?.warn({ thread: id }, "a thread has ended without a goodbye; asking the store for its messages");
    this.#losses++;
    this.#report(true);
  }

  #check(): void {
    Atomics.add(this.#cells, cells.heartbeat, 1);
    const dropped = Atomics.load(this.#cells, cells.dropped);
    if (dropped !== this.#reportedDrops) {
      this.#logger?.warn("this thread was blocked and notices to it were dropped; asking the store for them");
      this.#reportedDrops = dropped;
      this.#losses++;
      this.#report(true);
    }
    this.#checksSincePoll++;
    if (this.#findSilent() && this.#checksSincePoll >= checksPerPoll) {
      this.#checksSincePoll = 0;
      this.#report(false);
    }
  }

  /** Counts checks rather than time: after a stall of this thread, the others are not silent. */
  #findSilent(): boolean {
    let found = false;
    for (const [id, peer] of this.#peers) {
      const heartbeat = Atomics.load(peer.cells, cells.heartbeat);
      if (heartbeat !== peer.heartbeat && peer.quietChecks >= silentChecks)
        this.#logger?.info({ thread: id }, "a thread that was silent runs again");
      // A thread whose heartbeat is 0 is still starting, and has stored nothing.
      peer.quietChecks = heartbeat === peer.heartbeat && heartbeat !== 0 ? peer.quietChecks + 1 : 0;
      peer.heartbeat = heartbeat;
      if (peer.quietChecks === silentChecks)
        this.#logger?.warn({ thread: id }, "a thread has fallen silent; polling the store for its messages");
      found ||= peer.quietChecks >= silentChecks;
    }
    return found;
  }

  #report(certain: boolean): void {
    this.#listeners.call({ type: "lost", touches: () => true, certain });
  }
}
