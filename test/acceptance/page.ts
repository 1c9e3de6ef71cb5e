/** A page of a user: one stream, read by a stock client rather than by that of Tidings. */
import { create, fromJson, toJson } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import WebSocket from "ws";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { BridgeFrameSchema } from "../../gen/tidings/v1/bridge_pb.ts";
import { Kind, type Message, type Position } from "../../gen/tidings/v1/message_pb.ts";
import {
  type PushService,
  RoomState_Status as Status,
  type SubscribeRequest,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "../../gen/tidings/v1/push_service_pb.ts";

type StreamEvent = SubscribeResponse["event"];
type EventCase = Exclude<StreamEvent["case"], undefined>;
type ValueOf<Case extends EventCase> = Extract<StreamEvent, { case: Case }>["value"];

/** The error that ended a stream. */
export interface End {
  /** The Connect code, such as `unauthenticated`. */
  readonly code: string;
  /** The reason of ErrorInfo. */
  readonly reason: string;
}

const statusNames: Readonly<Record<Status, string>> = {
  [Status.UNSPECIFIED]: "nothing",
  [Status.JOINED]: "joined",
  [Status.REFUSED]: "refused",
  [Status.KICKED]: "kicked",
};

/** The name of the events after which a test knows that nothing else was sent. */
export const marker = "marker";

/** The events that a page has received, and functions that wait for more. */
export class Page {
  readonly events: StreamEvent[] = [];
  /** The error that ended the stream; undefined while it is open. */
  end: End | undefined;
  /** Drops the connection. */
  readonly cut: () => void;
  readonly #reading: (on: boolean) => void;
  readonly #positions = new Map<string, Position>();
  #badge = 0;
  #caughtUp = false;
  #waiting: (() => void)[] = [];

  /** `reading` pauses and resumes reading from the network, where the client supports that. */
  constructor(cut: () => void, reading: (on: boolean) => void = () => {}) {
    this.cut = cut;
    this.#reading = reading;
  }

  /** Stops reading from the network; over ws only. */
  pause(): void {
    this.#reading(false);
  }

  /** Resumes reading from the network. */
  resume(): void {
    this.#reading(true);
  }

  /** All events of a case. */
  all<Case extends EventCase>(name: Case): ValueOf<Case>[] {
    return this.events.filter((event) => event.case === name).map((event) => event.value as ValueOf<Case>);
  }

  /** All messages except markers. */
  get messages(): Message[] {
    return this.all("message").filter(({ event }) => event !== marker);
  }

  /** The titles of the messages. */
  get titles(): string[] {
    return this.messages.map(({ title }) => title);
  }

  /** The room events in order, such as `lobby refused already_exists`. */
  get rooms(): string[] {
    return this.all("room").map(({ roomId, status, code }) => `${roomId} ${statusNames[status]} ${code}`.trim());
  }

  /** The last totals, and one more for each notification after them, as a page counts. */
  get badge(): number {
    return this.#badge;
  }

  /** The last position per feed. */
  get positions(): Position[] {
    return [...this.#positions.values()];
  }

  /** Waits until the predicate holds. Throws if the stream ends before. */
  async until(predicate: (page: this) => boolean): Promise<this> {
    while (!predicate(this)) {
      if (this.end) throw new Error(`the stream has ended too early: ${this.end.code} ${this.end.reason}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return this;
  }

  /** Waits for this number of messages. */
  has(count: number): Promise<this> {
    return this.until(({ messages }) => messages.length >= count);
  }

  /** Waits for CaughtUp. */
  live(): Promise<this> {
    return this.until(() => this.#caughtUp);
  }

  /** Waits for the end of the stream. */
  async ended(): Promise<End> {
    while (!this.end) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.end;
  }

  /** Adds an event. */
  take({ event }: SubscribeResponse): void {
    this.events.push(event);
    if (event.case === "message") this.#count(event.value);
    if (event.case === "caughtUp") this.#caughtUp = true;
    if (event.case === "hello" || event.case === "readState") this.#badge = event.value.unread?.total ?? 0;
    if (event.case === "hello" || event.case === "caughtUp" || event.case === "heartbeat")
      for (const position of event.value.positions) this.#positions.set(position.feed, position);
    if (event.case === "gap" && event.value.to) this.#positions.set(event.value.to.feed, event.value.to);
    this.#wake();
  }

  /** Sets the end, unless there is one already. */
  finish(end: End): void {
    this.end ??= end;
    this.#wake();
  }

  #count({ kind, position }: Message): void {
    if (position) this.#positions.set(position.feed, position);
    if (this.#caughtUp && kind === Kind.NOTIFICATION) this.#badge++;
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** Opens a page over Connect or gRPC. */
export function openStream(client: Client<typeof PushService>, request: SubscribeRequest): Page {
  const abort = new AbortController();
  const page = new Page(() => abort.abort());
  const read = async () => {
    for await (const response of client.subscribe(request, { signal: abort.signal })) page.take(response);
    throw new Error("the stream ended without an error");
  };
  read().catch((thrown: unknown) => page.finish(toEnd(thrown)));
  return page;
}

/** Opens a page over the WebSocket bridge, in JSON. */
export function openSocket(url: string, token: string, subscribe: SubscribeRequest): Page {
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, "tidings.v1.json");
  const reading = (on: boolean) => (on ? socket.resume() : socket.pause());
  const page = new Page(() => socket.terminate(), reading);
  const frame = toJson(BridgeFrameSchema, create(BridgeFrameSchema, { token, subscribe }));
  socket.on("open", () => socket.send(JSON.stringify(frame)));
  socket.on("message", (data) => page.take(fromJson(SubscribeResponseSchema, JSON.parse(String(data)))));
  socket.on("error", (error) => page.finish({ code: "unavailable", reason: error.message }));
  socket.on("close", (code, reason) => page.finish({ code: nameOf(code - 4000), reason: reasonOf(String(reason)) }));
  return page;
}

/** The code and the reason of an error. */
export function toEnd(thrown: unknown): End {
  const error = ConnectError.from(thrown);
  return { code: nameOf(error.code), reason: error.findDetails(ErrorInfoSchema)[0]?.reason ?? "" };
}

function nameOf(code: number): string {
  return (Code[code] ?? String(code)).replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
}

/** The reason of a close of the bridge, whose text is `REASON: sentence`. */
function reasonOf(text: string): string {
  return /^\w+(?=:)/.exec(text)?.[0] ?? "";
}
