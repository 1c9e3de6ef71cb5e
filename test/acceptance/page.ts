/** A page that somebody has open: one stream, read by a client that nobody here wrote. */
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

/** What ended a stream. */
export interface End {
  /** As Connect writes it, such as `unauthenticated`. */
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

/** The name of the events by which a test finds out that nothing else came. */
export const marker = "marker";

/** What the page has received, and how to wait for more. */
export class Page {
  readonly events: StreamEvent[] = [];
  /** What ended the stream. */
  end: End | undefined;
  /** Loses the connection without a word. */
  readonly cut: () => void;
  readonly #reading: (on: boolean) => void;
  readonly #positions = new Map<string, Position>();
  #badge = 0;
  #caughtUp = false;
  #waiting: (() => void)[] = [];

  /** `reading` stops and goes on reading from the network, where the client can do that. */
  constructor(cut: () => void, reading: (on: boolean) => void = () => {}) {
    this.cut = cut;
    this.#reading = reading;
  }

  /** Reads nothing more from the network; over ws only. */
  pause(): void {
    this.#reading(false);
  }

  /** Reads on. */
  resume(): void {
    this.#reading(true);
  }

  /** All events of a case. */
  all<Case extends EventCase>(name: Case): ValueOf<Case>[] {
    return this.events.filter((event) => event.case === name).map((event) => event.value as ValueOf<Case>);
  }

  /** All messages but markers. */
  get messages(): Message[] {
    return this.all("message").filter(({ event }) => event !== marker);
  }

  /** Their titles. */
  get titles(): string[] {
    return this.messages.map(({ title }) => title);
  }

  /** What became of the rooms, such as `lobby refused already_exists`, in order. */
  get rooms(): string[] {
    return this.all("room").map(({ roomId, status, code }) => `${roomId} ${statusNames[status]} ${code}`.trim());
  }

  /** The totals last told, and one more for each notification after them: all that a page has to count. */
  get badge(): number {
    return this.#badge;
  }

  /** The last position per feed. */
  get positions(): Position[] {
    return [...this.#positions.values()];
  }

  /** Waits until it is so; throws when the stream ends before. */
  async until(predicate: (page: this) => boolean): Promise<this> {
    while (!predicate(this)) {
      if (this.end) throw new Error(`the stream has ended before: ${this.end.code} ${this.end.reason}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return this;
  }

  /** Waits for so many messages. */
  has(count: number): Promise<this> {
    return this.until(({ messages }) => messages.length >= count);
  }

  /** Waits until all that was missed is there. */
  live(): Promise<this> {
    return this.until(() => this.#caughtUp);
  }

  /** Waits for the end. */
  async ended(): Promise<End> {
    while (!this.end) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.end;
  }

  /** Takes an event. */
  take({ event }: SubscribeResponse): void {
    this.events.push(event);
    if (event.case === "message") this.#count(event.value);
    if (event.case === "caughtUp") this.#caughtUp = true;
    if (event.case === "hello" || event.case === "readState") this.#badge = event.value.unread?.total ?? 0;
    if (event.case === "hello" || event.case === "caughtUp" || event.case === "heartbeat")
      for (const position of event.value.positions) this.#positions.set(position.feed, position);
    if (event.case === "gap" && event.value.to) this.#positions.set(event.value.to.feed, event.value.to);
    this.#tell();
  }

  /** Takes the end; the first counts. */
  finish(end: End): void {
    this.end ??= end;
    this.#tell();
  }

  #count({ kind, position }: Message): void {
    if (position) this.#positions.set(position.feed, position);
    if (this.#caughtUp && kind === Kind.NOTIFICATION) this.#badge++;
  }

  #tell(): void {
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
  socket.on("close", (code, reason) => page.finish({ code: nameOf(code - 4000), reason: wordOf(String(reason)) }));
  return page;
}

/** The code and the reason of what a call threw. */
export function toEnd(thrown: unknown): End {
  const error = ConnectError.from(thrown);
  return { code: nameOf(error.code), reason: error.findDetails(ErrorInfoSchema)[0]?.reason ?? "" };
}

function nameOf(code: number): string {
  return (Code[code] ?? String(code)).replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
}

/** The bridge closes with `REASON: sentence`. */
function wordOf(text: string): string {
  return /^\w+(?=:)/.exec(text)?.[0] ?? "";
}
