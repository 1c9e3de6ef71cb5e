import type { ConnectError } from "@connectrpc/connect";
import type { Message, UnreadTotals } from "../../gen/tidings/v1/message_pb.ts";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import type { SubscribeResponse } from "../../gen/tidings/v1/push_service_pb.ts";
import { type Reason, reasonOf } from "../../src/errors.ts";
import { addCounts } from "../../src/inbox/category-counts.ts";
import type { Subscription } from "../../src/stream/subscription.ts";

/** An event of a stream. */
export type StreamEvent = SubscribeResponse["event"];
/** The name of an event. */
export type EventCase = Exclude<StreamEvent["case"], undefined>;
type ValueOf<Case extends EventCase> = Extract<StreamEvent, { case: Case }>["value"];

/** Reads a subscription as a transport does, and counts unread messages as a simple client does. */
export class Reader {
  readonly subscription: Subscription;
  readonly events: StreamEvent[] = [];
  /** The error that ended the stream. */
  error: ConnectError | undefined;
  /** Settles when the stream has ended. */
  readonly ended: Promise<void>;
  /** The badge: the last totals, and one more for each notification after them. */
  readonly badge = { total: 0, byCategory: new Map<string, number>() };
  /** The last position per feed, as a client keeps it. */
  readonly positions = new Map<string, { epoch: number; seq: string }>();
  #caughtUp = false;
  #gate: Promise<void> | undefined;
  #open: () => void = () => {};
  #waiting: (() => void)[] = [];
  #done = false;

  constructor(subscription: Subscription, { paused = false } = {}) {
    this.subscription = subscription;
    if (paused) this.pause();
    this.ended = this.#run();
  }

  /** Takes nothing more after the present batch. */
  pause(): void {
    this.#gate ??= new Promise((resolve) => (this.#open = resolve));
  }

  /** Goes on after `pause`. */
  resume(): void {
    this.#gate = undefined;
    this.#open();
  }

  /** Takes one batch, and pauses again. */
  step(): void {
    this.resume();
    this.pause();
  }

  /** All events of a case. */
  all<Case extends EventCase>(name: Case): ValueOf<Case>[] {
    return this.events.filter((event) => event.case === name).map((event) => event.value as ValueOf<Case>);
  }

  /** Waits for the first event of a case. */
  async first<Case extends EventCase>(name: Case): Promise<ValueOf<Case>> {
    await this.until(() => this.all(name).length > 0);
    return this.all(name)[0] as ValueOf<Case>;
  }

  /** All messages so far. */
  get messages(): Message[] {
    return this.all("message");
  }

  /** Waits until `predicate` is true. Throws if the stream ends before. */
  async until(predicate: (reader: this) => boolean): Promise<void> {
    while (!predicate(this)) {
      if (this.#done) throw new Error(`the stream ended before: ${this.error?.message}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Waits for the end of the stream, and returns its reason. */
  async end(): Promise<Reason | undefined> {
    await this.ended;
    return this.error && reasonOf(this.error);
  }

  /** Closes the stream as when a client goes away, and waits for its end. */
  async close(): Promise<void> {
    this.subscription.close();
    this.resume();
    await this.ended;
  }

  async #run(): Promise<void> {
    try {
      for await (const batch of this.subscription.batches()) {
        if (batch.length === 0) throw new Error("an empty batch");
        for (const { response } of batch) this.#take(response.event);
        this.#notify();
        await this.#gate;
      }
    } catch (error) {
      this.error = error as ConnectError;
    } finally {
      this.#done = true;
      this.#notify();
    }
  }

  #notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  #take(event: StreamEvent): void {
    this.events.push(event);
    if (event.case === "message") this.#count(event.value);
    if (event.case === "caughtUp") this.#caughtUp = true;
    if (event.case === "hello" || event.case === "readState") this.#setTotals(event.value.unread);
    if (event.case === "hello" || event.case === "caughtUp" || event.case === "heartbeat")
      this.#keep(event.value.positions);
    if (event.case === "gap" && event.value.to) this.#keep([event.value.to]);
  }

  #count(message: Message): void {
    if (message.position) this.#keep([message.position]);
    if (!this.#caughtUp || message.kind !== Kind.NOTIFICATION) return;
    const { byCategory } = this.badge;
    this.badge.total++;
    this.badge.byCategory = new Map(addCounts(byCategory, new Map([[message.category, 1]])));
  }

  #setTotals(unread: UnreadTotals | undefined): void {
    if (!unread) return;
    this.badge.total = unread.total;
    this.badge.byCategory = new Map(Object.entries(unread.byCategory));
  }

  #keep(positions: readonly { feed: string; epoch: number; seq: string }[]): void {
    for (const { feed, epoch, seq } of positions) this.positions.set(feed, { epoch, seq });
  }
}
