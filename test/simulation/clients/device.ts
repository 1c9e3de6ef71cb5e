import { create } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { Kind } from "../../../gen/tidings/v1/message_pb.ts";
import { SubscribeRequestSchema, type SubscribeResponse } from "../../../gen/tidings/v1/push_service_pb.ts";
import { Badge } from "../../../src/client/state/badge.ts";
import { Positions } from "../../../src/client/state/positions.ts";
import { reasonOf } from "../../../src/errors.ts";
import { Subscription } from "../../../src/stream/subscription.ts";
import type { Frame } from "../../../src/wire/frame.ts";
import type { Sink } from "../../../src/wire/sink.ts";
import { userOf } from "../../support/core.ts";
import type { DeviceRecord, History } from "../check/history.ts";
import type { Scheduler } from "../runtime/scheduler.ts";
import type { SeededRandom } from "../runtime/seeded-random.ts";
import { heartbeatMs, type SimNode } from "../sim-node.ts";
import { errorName, isExpected, type LoadBalancer } from "./load-balancer.ts";

type StreamEvent = SubscribeResponse["event"];

/** Frames in flight at which a sink counts as full. */
const maxFramesInFlight = 6;

/** A page of a user: it subscribes, counts with the code of the client library, and reconnects until it is closed. */
export class Device {
  readonly record: DeviceRecord;
  readonly #scheduler: Scheduler;
  readonly #random: SeededRandom;
  readonly #balancer: LoadBalancer;
  readonly #history: History;
  readonly #positions = new Positions();
  readonly #badge = new Badge();
  #disconnect: (reason: string) => void = () => {};
  #closed = false;
  /** The longest time for which it sometimes stops reading, in ms. */
  maxStallMs = 0;

  constructor(
    { name, tenant, user }: { name: string; tenant: string; user: string },
    parts: { scheduler: Scheduler; random: SeededRandom; balancer: LoadBalancer; history: History },
  ) {
    this.#scheduler = parts.scheduler;
    this.#random = parts.random;
    this.#balancer = parts.balancer;
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

  /** Opens one stream after another until it is closed. */
  async run(): Promise<void> {
    while (!this.#closed) {
      const node = this.#balancer.pick();
      await this.#scheduler.sleep(this.#balancer.delay);
      if (this.#closed) return;
      if (node.core) await this.#stream(node);
      this.record.live = false;
      await this.#scheduler.sleep(this.#random.between(5, 300));
    }
  }

  /** Cuts the connection of its stream. */
  disconnect(): void {
    this.#disconnect("the connection was cut");
  }

  /** Ends for good. */
  close(): void {
    this.#closed = true;
    this.disconnect();
  }

  /** Applies the totals of a response to one of its own requests. */
  applyTotals(unread: { total: number; byCategory: Record<string, number>; version: string } | undefined): void {
    this.#badge.answer(unread);
    this.record.badge = this.#badge.totals.value?.total;
  }

  /** Runs one stream. Resolves when it has ended for any reason. */
  #stream(node: SimNode): Promise<void> {
    return new Promise((resolve) => {
      const { host } = node;
      const { incarnation } = host;
      const { name } = this.record;
      let open = true;
      let lastReceived = this.#scheduler.now;
      let subscription: Subscription | undefined;
      const end = (reason: string) => {
        if (!open) return;
        open = false;
        offDeath();
        this.#history.log(`${name} leaves ${host.name}: ${reason}`);
        this.#scheduler.at(this.#balancer.delay, () => host.enter(incarnation, () => subscription?.close()));
        resolve();
      };
      const offDeath = node.onDeath(() => this.#scheduler.at(this.#balancer.delay, () => end("the node died")));
      this.#disconnect = end;
      const checkSilence = () => {
        if (!open) return;
        if (this.#scheduler.now - lastReceived > 3 * heartbeatMs) end("no heartbeat");
        else this.#scheduler.at(heartbeatMs, checkSilence);
      };
      checkSilence();
      const sink = this.#sink(node, incarnation, (frames) => {
        lastReceived = this.#scheduler.now;
        for (const { response } of open ? frames : []) this.#receive(response.event);
      });
      const ended = (error: ConnectError) => {
        this.#scheduler.at(this.#balancer.delay, () => {
          if (open && !isExpected(error)) this.#history.error(`${name}: ${errorName(error)} ${error.stack}`);
          if (open && reasonOf(error) === "POSITION_IN_FUTURE")
            this.#history.error(`${name} is ahead of the server: ${error.message}`);
          end(errorName(error));
        });
      };
      host.enter(incarnation, () => {
        const { core } = node;
        if (!core || !open) return ended(new Error("refused") as ConnectError);
        const request = create(SubscribeRequestSchema, { positions: this.#positions.list(), onlineCount: true });
        this.#history.log(`${name} subscribes on ${host.name} from ${positionsText(this.#positions.list())}`);
        subscription = new Subscription(core.context, userOf(this.record.tenant, this.record.user), request, () =>
          end("cut by the server"),
        );
        subscription.run(sink).catch(ended);
      });
    });
  }

  /** The connection from a node: frames arrive in order, and are lost when the node dies. */
  #sink(node: SimNode, incarnation: number, receive: (frames: readonly Frame[]) => void): Sink {
    const { host } = node;
    let inFlight = 0;
    let arrival = 0;
    let drained: (() => void)[] = [];
    const arrive = (frames: readonly Frame[]) => {
      if (host.incarnation === incarnation) receive(frames);
      this.#scheduler.at(0.2, () =>
        host.enter(incarnation, () => {
          inFlight -= frames.length;
          if (inFlight >= maxFramesInFlight) return;
          for (const resolve of drained) resolve();
          drained = [];
        }),
      );
    };
    return {
      write: (frames) => {
        inFlight += frames.length;
        const { maxStallMs } = this;
        const stall = maxStallMs > 0 && this.#random.chance(0.05) ? this.#random.between(0, maxStallMs) : 0;
        arrival = Math.max(arrival, this.#scheduler.now + this.#balancer.delay + stall);
        this.#scheduler.when(arrival, () => arrive(frames));
        return inFlight < maxFramesInFlight;
      },
      get queued() {
        return inFlight;
      },
      drained: () => new Promise((resolve) => drained.push(resolve)),
    };
  }

  #receive(event: StreamEvent): void {
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
        this.#receiveMessage(event.value);
        break;
      case "readState":
        this.#history.log(`${record.name} receives totals: ${event.value.unread?.total} unread`);
        this.#badge.readState(event.value.unread);
        break;
      case "gap": {
        const { after, to } = event.value;
        this.#history.log(`${record.name} receives a gap in ${to?.feed} after ${after?.seq} to ${to?.seq}`);
        if (to) record.gaps.push({ feed: to.feed, after: Number(after?.seq), to: Number(to.seq) });
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

  #receiveMessage(message: Extract<StreamEvent, { case: "message" }>["value"]): void {
    const { position, id, title: key } = message;
    if (!position || this.#positions.includes(position)) return;
    const { feed, epoch, seq } = position;
    this.#history.log(`${this.record.name} receives ${key} at ${feed} ${seq}`);
    this.record.delivered.push({ feed, epoch, seq: Number(seq), id, key });
    if (message.kind === Kind.NOTIFICATION) this.#badge.notification(message.category);
    this.#positions.advance([position]);
  }
}

function positionsText(positions: readonly { feed: string; seq: string }[]): string {
  return positions.map(({ feed, seq }) => `${feed} ${seq}`).join(", ") || "the end";
}
