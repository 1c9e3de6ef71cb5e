/**
 * The client program of TypeScript for `tidings test-client`. Its argument is the form of the stream: `proto` and `grpc`
 * for Protobuf over Connect and gRPC, `bridge` for Protobuf over the bridge; `json` and `json-connect` for the small client.
 */
import { createInterface } from "node:readline";
import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type Message, MessageSchema } from "../../../gen/tidings/v1/message_pb.ts";
import {
  ListUnreadRequestSchema,
  MarkReadRequestSchema,
  PublishRequestSchema,
  SubscribeRequestSchema,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import type { TidingsEvent as EventOf } from "../../../src/client/events.ts";
import {
  connectTidings,
  type MarkRequest,
  type RoomJoin,
  type TidingsStream,
  type TokenSource,
} from "../../../src/client/index.ts";
import * as small from "../../../src/client/json.ts";
import { TidingsError } from "../../../src/client/tidings-error.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A client of either kind, as the commands use it. */
interface Client {
  readonly stream: TidingsStream<unknown>;
  messageJson(message: unknown): unknown;
  listUnread(request: Fields, token: string): Promise<{ ids: readonly string[]; next: string }>;
  markRead(request: Fields): Promise<number>;
  /** Unset where publishes are not retried. */
  readonly publish?: (request: JsonValue) => Promise<object>;
  readonly publishBatch?: (requests: readonly JsonValue[]) => Promise<object[]>;
}

const mode = process.argv[2] ?? "proto";
const { TIDINGS_URL: url = "", TIDINGS_TOKEN_URL: tokenUrl = "" } = process.env;
let client: Client | undefined;

const token: TokenSource = async ({ refresh }) => {
  const response = await fetch(refresh ? `${tokenUrl}?refresh=1` : tokenUrl);
  if (!response.ok) throw new Error(`no token: HTTP ${response.status}`);
  return response.text();
};

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** The rooms of a command, with the names of modes that the client takes. */
function readRooms(rooms: unknown): RoomJoin[] {
  return ((rooms ?? []) as { roomId: string; mode?: string }[]).map(({ roomId, mode: name = "ANY" }) => ({
    roomId,
    mode: name.replace("ROOM_MODE_", "").toLowerCase() as "any" | "first" | "last",
  }));
}

/** The fields of the client's own form of a MarkReadRequest. */
function markRequest(request: Fields): MarkRequest {
  const { ids, ...rest } = request as { ids?: { messageIds: string[] } };
  return { ...rest, ...(ids && { ids: ids.messageIds }) };
}

function connectProto(subscribe: Fields, rooms: RoomJoin[]): Client {
  const { kinds, categories, events, onlineCount } = fromJson(SubscribeRequestSchema, subscribe as JsonValue);
  const tidings = connectTidings({
    url,
    token,
    transport: mode === "bridge" ? "ws" : "connect",
    subscribe: { kinds, categories, events, onlineCount, rooms },
    ...(mode === "grpc" && { connect: createGrpcTransport({ baseUrl: url }) }),
  });
  return {
    stream: tidings,
    messageJson: (message) => toJson(MessageSchema, message as Message),
    async listUnread(request, pageToken) {
      const page = await tidings.listUnread({ ...fromJson(ListUnreadRequestSchema, request as JsonValue), pageToken });
      return { ids: page.messages.map(({ id }) => id), next: page.nextPageToken };
    },
    async markRead(request) {
      fromJson(MarkReadRequestSchema, request as JsonValue);
      return (await tidings.markRead(markRequest(request))).changed;
    },
    async publish(request) {
      const { messageId, duplicate } = await tidings.publish(fromJson(PublishRequestSchema, request));
      return { messageId, duplicate };
    },
    async publishBatch(requests) {
      const drafts = requests.map((request) => fromJson(PublishRequestSchema, request));
      const { outcomes } = await tidings.publishBatch(drafts);
      return outcomes.map(({ result: { case: name, value } }) =>
        name === "ok" ? { messageId: value.messageId } : { error: { code: value?.code, reason: value?.reason } },
      );
    },
  };
}

function connectJson(filters: Fields, rooms: RoomJoin[]): Client {
  if (mode === "json-connect") Reflect.deleteProperty(globalThis, "WebSocket");
  const tidings = small.connectTidings({ url, token, subscribe: { ...filters, rooms } });
  return {
    stream: tidings,
    messageJson: (message) => message,
    async listUnread(request, pageToken) {
      const page = await tidings.listUnread({ ...request, pageToken });
      return { ids: (page.messages ?? []).map(({ id = "" }) => id), next: page.nextPageToken ?? "" };
    },
    markRead: async (request) => (await tidings.markRead(markRequest(request))).changed ?? 0,
  };
}

/** The client, connected by the first command that needs it. */
function connect({ type: _, rooms, ...filters }: Fields): Client {
  const connected = mode.startsWith("json")
    ? connectJson(filters, readRooms(rooms))
    : connectProto(filters, readRooms(rooms));
  const { stream } = connected;
  stream.state.subscribe((state) => print({ type: "state", state }));
  stream.unread.subscribe((totals) => {
    if (totals) print({ type: "unread", total: totals.total, byCategory: totals.byCategory });
  });
  stream.on("error", (error) => {
    // The error that ends the subscription also ends the loop, which prints it.
    queueMicrotask(() => stream.state.value !== "closed" && printError(error, undefined, false));
  });
  void printEvents(connected);
  return connected;
}

async function printEvents({ stream, messageJson }: Client): Promise<void> {
  try {
    for await (const event of stream.events()) printEvent(event, messageJson);
  } catch (error) {
    printError(error, undefined, true);
  }
}

function printEvent(event: EventOf<unknown>, messageJson: Client["messageJson"]) {
  switch (event.type) {
    case "message":
      return print({ type: "message", message: messageJson(event.message) });
    case "gap":
      return print({ type: "gap", feed: event.to?.feed, after: event.after?.seq, to: event.to?.seq });
    case "room":
      return print({ type: "room", roomId: event.roomId, status: event.status.toUpperCase(), reason: event.reason });
    case "reset":
      return print({ type: "reset", reason: event.reason });
    case "readState":
    case "caughtUp":
      return print({ type: event.type });
  }
}

function printError(thrown: unknown, id: unknown, final: boolean): void {
  const error = thrown instanceof TidingsError ? thrown : new TidingsError("unknown", String(thrown));
  const { code, reason = "", field = "", retryAfterMs = 0, message } = error;
  print({ type: "error", ...(id !== undefined && { id }), code, reason, field, retryAfterMs, final, message });
}

async function run(command: Fields): Promise<void> {
  const { type, id } = command;
  if (type === "subscribe") {
    client = connect(command);
    return;
  }
  if (type === "close") return close();
  // A call without a subscription connects, too.
  client ??= connect({});
  const called = client;
  if (type === "join") {
    const [room] = readRooms([command]);
    if (room?.mode) called.stream.join(room.roomId, { mode: room.mode });
  } else if (type === "leave") {
    called.stream.leave(String(command.roomId));
  } else if (type === "listUnread") {
    let next = "";
    do {
      const page = await called.listUnread(command.request as Fields, next);
      for (const messageId of page.ids) print({ type: "listed", id, messageId });
      next = page.next;
    } while (next !== "");
    print({ type: "listEnd", id });
  } else if (type === "markRead") {
    print({ type: "markedRead", id, changed: await called.markRead(command.request as Fields) });
  } else if (type === "publish" && called.publish) {
    print({ type: "published", id, ...(await called.publish(command.request as JsonValue)) });
  } else if (type === "publishBatch" && called.publishBatch) {
    const outcomes = await called.publishBatch(command.requests as JsonValue[]);
    for (const [index, outcome] of outcomes.entries()) print({ type: "outcome", id, index, ...outcome });
  } else print({ type: "unsupported", command: type });
}

function close(): void {
  client?.stream.close();
  // The transport for gRPC keeps its connection, and with it the process, for a while.
  process.stdout.write("", () => process.exit(0));
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line) as Fields;
    run(command).catch((error: unknown) => printError(error, command.id, true));
  })
  .on("close", close);
