import { create } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { SubscribeRequestSchema, type SubscribeResponse } from "../../gen/tidings/v1/push_service_pb.ts";
import { Badge } from "../../src/client/state/badge.ts";
import { Positions } from "../../src/client/state/positions.ts";
import { reasonOf } from "../../src/errors.ts";
import { Subscription } from "../../src/stream/subscription.ts";
import type { Frame } from "../../src/wire/frame.ts";
import type { Sink } from "../../src/wire/sink.ts";
import { userOf } from "../support/core.ts";
import { type Caller, isExpected, nameOf } from "./caller.ts";
import type { Dice } from "./dice.ts";
import type { DeviceRecord, History } from "./history.ts";
import type { Scheduler } from "./scheduler.ts";
import { heartbeatMs, type SimNode } from "./sim-node.ts";

type StreamEvent = SubscribeResponse["event"];

/** Frames on the line before the sink counts as full. */
const lineFrames = 6;

/** How a device behaves. */
export interface DeviceHabits {
  /** How long it takes nothing at times, in ms. */
  readonly slowMs: number;
}

/** A page of a user: subscribes, counts as the client library does, and comes back for ever. */
export class Device {
  readonly record: DeviceRecord;
  readonly #scheduler: Scheduler;
  readonly #dice: Dice;
  readonly #caller: Caller;
  readonly #history: History;
  readonly #positions = new Positions();
  readonly #badge = new Badge();
  #cut: (why: string) => void = () => {};
  #closed = false;
  /** Slow readers are slow only while this is set. */
  habits: DeviceHabits = { slowMs: 0 };

  constructor(
    { name, tenant, user }: { name: string; tenant: string; user: string },
    parts: { scheduler: Scheduler; dice: Dice; caller: Caller; history: History },
  ) {
    this.#scheduler = parts.scheduler;
    this.#dice = parts.dice;
    this.#caller = parts.caller;
    this.#history = parts.history;
    this.record = {
      name,
      tenant,
      user,
      start: new Map(),
      delivered: [],
      gaps: [],
      badge: undefined,
      online: undefined,
      positions: [],
      live: false,
    };
    parts.history.devices.push(this.record);
  }

  /** Has streams until it is closed. */
  async run(): Promise<void> {
    while (!this.#closed) {
      const node = this.#caller.pick();
      await this.#scheduler.sleep(this.#caller.delay);
      if (this.#closed) return;
      if (node.core) await this.#stream(node);
      this.record.live = false;
      await this.#scheduler.sleep(this.#dice.between(5, 300));
    }
  }

  /** Loses its line. */
  cut(): void {
    this.#cut("the line is cut");
  }

  /** Goes for good. */
  close(): void {
    this.#closed = true;
    this.cut();
  }

  /** Totals of an answer to a request of its own. */
  answer(unread: { total: number; byCategory: Record<string, number>; version: string } | undefined): void {
    this.#badge.answer(unread);
    this.record.badge = this.#badge.totals.value?.total;
  }

  /** One stream; settles when it has ended, however that came. */
  #stream(node: SimNode): Promise<void> {
    return new Promise((resolve) => {
      const { host } = node;
      const { life } = host;
      const { name } = this.record;
      let open = true;
      let heard = this.#scheduler.now;
      let subscription: Subscription | undefined;
      const end = (why: string) => {
        if (!open) return;
        open = false;
        offDeath();
        this.#history.tell(`${name} off ${host.name}: ${why}`);
        this.#scheduler.at(this.#caller.delay, () => host.enter(life, () => subscription?.close()));
        resolve();
      };
      const offDeath = node.onDeath(() => this.#scheduler.at(this.#caller.delay, () => end("the node died")));
      this.#cut = end;
      const watch = () => {
        if (!open) return;
        if (this.#scheduler.now - heard > 3 * heartbeatMs) end("silence");
        else this.#scheduler.at(heartbeatMs, watch);
      };
      watch();
      const sink = this.#sink(node, life, (frames) => {
        heard = this.#scheduler.now;
        for (const { response } of open ? frames : []) this.#take(response.event);
      });
      const ended = (error: ConnectError) => {
        this.#scheduler.at(this.#caller.delay, () => {
          if (open && !isExpected(error)) this.#history.alarm(`${name}: ${nameOf(error)} ${error.stack}`);
          if (open && reasonOf(error) === "POSITION_IN_FUTURE")
            this.#history.alarm(`${name} is ahead: ${error.message}`);
          end(nameOf(error));
        });
      };
      host.enter(life, () => {
        const { core } = node;
        if (!core || !open) return ended(new Error("refused") as ConnectError);
        const request = create(SubscribeRequestSchema, { positions: this.#positions.list(), onlineCount: true });
        this.#history.tell(`${name} on ${host.name} at ${placesOf(this.#positions.list())}`);
        subscription = new Subscription(core.context, userOf(this.record.tenant, this.record.user), request, () =>
          end("cut"),
        );
        subscription.run(sink).catch(ended);
      });
    });
  }

  /** The line from a node to here: frames travel in order, and are lost when the node dies. */
  #sink(node: SimNode, life: number, take: (frames: readonly Frame[]) => void): Sink {
    const { host } = node;
    let onLine = 0;
    let arrival = 0;
    let drained: (() => void)[] = [];
    const arrive = (frames: readonly Frame[]) => {
      if (host.life === life) take(frames);
      this.#scheduler.at(0.2, () =>
        host.enter(life, () => {
          onLine -= frames.length;
          if (onLine >= lineFrames) return;
          for (const resolve of drained) resolve();
          drained = [];
        }),
      );
    };
    return {
      write: (frames) => {
        onLine += frames.length;
        const { slowMs } = this.habits;
        const slow = slowMs > 0 && this.#dice.chance(0.05) ? this.#dice.between(0, slowMs) : 0;
        arrival = Math.max(arrival, this.#scheduler.now + this.#caller.delay + slow);
        this.#scheduler.when(arrival, () => arrive(frames));
        return onLine < lineFrames;
      },
      get queued() {
        return onLine;
      },
      drained: () => new Promise((resolve) => drained.push(resolve)),
    };
  }

  #take(event: StreamEvent): void {
    const { record } = this;
    switch (event.case) {
      case "hello":
        this.#badge.hello(event.value.unread);
        record.online = event.value.online;
        for (const { feed, seq } of event.value.positions) {
          if (!record.start.has(feed)) record.start.set(feed, Number(seq));
        }
        this.#positions.advance(event.value.positions);
        break;
      case "message":
        this.#takeMessage(event.value);
        break;
      case "readState":
        this.#history.tell(`${record.name} is told ${event.value.unread?.total} unread`);
        this.#badge.readState(event.value.unread);
        break;
      case "gap": {
        const { from, to } = event.value;
        this.#history.tell(`${record.name} is told of a gap in ${to?.feed} from ${from?.seq} to ${to?.seq}`);
        if (to) record.gaps.push({ feed: to.feed, from: Number(from?.seq), to: Number(to.seq) });
        if (to) this.#positions.advance([to]);
        break;
      }
      case "online":
        record.online = event.value;
        break;
      case "caughtUp":
        this.#badge.caughtUp();
        this.#positions.advance(event.value.positions);
        record.live = true;
        break;
      case "heartbeat":
        this.#positions.advance(event.value.positions);
    }
    record.badge = this.#badge.totals.value?.total;
    record.positions = this.#positions.list();
  }

  #takeMessage(message: Extract<StreamEvent, { case: "message" }>["value"]): void {
    const { position, id, title: key } = message;
    if (!position || this.#positions.includes(position)) return;
    const { feed, epoch, seq } = position;
    this.#history.tell(`${this.record.name} takes ${key} at ${feed} ${seq}`);
    this.record.delivered.push({ feed, epoch, seq: Number(seq), id, key });
    if (message.kind === Kind.NOTIFICATION) this.#badge.notification(message.category);
    this.#positions.advance([position]);
  }
}

function placesOf(positions: readonly { feed: string; seq: string }[]): string {
  return positions.map(({ feed, seq }) => `${feed} ${seq}`).join(", ") || "the head";
}
