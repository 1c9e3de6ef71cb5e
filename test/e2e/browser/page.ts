/**
 * A page with one of the clients. Its path chooses the client, its query the user and the room. It shows the messages
 * that it receives, and offers an App to the test.
 */
import { toJson } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { Kind, MessageSchema } from "../../../gen/tidings/v1/message_pb.ts";
import { PushService, RoomState_Status as Status } from "../../../gen/tidings/v1/push_service_pb.ts";
import { connectTidings, type TransportChoice } from "../../../src/client/index.ts";
import { connectTidings as connectJson } from "../../../src/client/json.ts";

/** The methods that the test calls. */
export interface App {
  /** Marks all messages as read. */
  markAll(): Promise<unknown>;
  /** The titles of the unread messages, newest first. */
  listUnread(): Promise<(string | undefined)[]>;
  /** Publishes a notification to the room. */
  say(title: string): Promise<unknown>;
  /** Closes the client. */
  close(): void;
}

declare global {
  /** Set once the page has started. */
  var app: App;
}

const url = location.origin;
const query = new URLSearchParams(location.search);
const token = async () => (await fetch(`/token?sub=${query.get("sub") ?? "ann"}`, { cache: "no-store" })).text();
const roomId = query.get("room") ?? "";
const subscribe = { rooms: roomId === "" ? [] : [{ roomId }] };

/** Shows a message as JSON, so that the test can compare every field. */
function show(message: unknown): void {
  const item = document.createElement("li");
  item.textContent = JSON.stringify(message);
  document.querySelector("ul")?.append(item);
}

function put(id: "state" | "badge" | "room", text: string): void {
  const element = document.getElementById(id);
  if (element) element.textContent = text;
}

/** The typed client over a transport. */
function typed(transport: TransportChoice): App {
  const client = connectTidings({ url, token, transport, subscribe });
  client.on("message", (message) => show(toJson(MessageSchema, message)));
  client.on("room", ({ status }) => put("room", status));
  client.state.subscribe((state) => put("state", state));
  client.unread.subscribe((totals) => put("badge", String(totals?.total ?? "")));
  return {
    markAll: () => client.markRead({ all: true }),
    listUnread: async () => (await client.listUnread()).messages.map(({ title }) => title),
    say: (title) =>
      client.publish({
        audience: { to: { case: "roomId", value: roomId } },
        message: { kind: Kind.NOTIFICATION, title },
      }),
    close: () => client.close(),
  };
}

/** The JSON client. */
function json(): App {
  const client = connectJson({ url, token, subscribe });
  client.on("message", show);
  client.on("room", ({ status }) => put("room", status));
  client.state.subscribe((state) => put("state", state));
  client.unread.subscribe((totals) => put("badge", String(totals?.total ?? "")));
  return {
    markAll: () => client.markRead({ all: true }),
    listUnread: async () => ((await client.listUnread()).messages ?? []).map(({ title }) => title),
    say: (title) => client.publish({ audience: { roomId }, message: { kind: "KIND_NOTIFICATION", title } }),
    close: () => client.close(),
  };
}

/** Connect's own client for browsers, with only the contract of Tidings. */
function plain(useBinaryFormat: boolean): App {
  const client = createClient(PushService, createConnectTransport({ baseUrl: url, useBinaryFormat, useHttpGet: true }));
  const headers = async () => ({ authorization: `Bearer ${await token()}` });
  const abort = new AbortController();
  const receive = async () => {
    const options = { headers: await headers(), signal: abort.signal };
    for await (const { event } of client.subscribe(subscribe, options)) {
      if (event.case === "hello") put("badge", String(event.value.unread?.total));
      if (event.case === "caughtUp") put("state", "live");
      if (event.case === "room") put("room", event.value.status === Status.JOINED ? "joined" : event.value.code);
      if (event.case === "readState") put("badge", String(event.value.unread?.total));
      if (event.case !== "message") continue;
      show(toJson(MessageSchema, event.value));
      put("badge", String(Number(document.getElementById("badge")?.textContent) + 1));
    }
  };
  receive().catch((error: Error) => put("state", error.message));
  return {
    markAll: async () => client.markRead({ target: { case: "all", value: true } }, { headers: await headers() }),
    listUnread: async () =>
      (await client.listUnread({}, { headers: await headers() })).messages.map(({ title }) => title),
    say: async (title) =>
      client.publish(
        { audience: { to: { case: "roomId", value: roomId } }, message: { kind: Kind.NOTIFICATION, title } },
        { headers: await headers() },
      ),
    close: () => abort.abort(),
  };
}

const apps: Readonly<Record<string, () => App>> = {
  "typed-connect": () => typed("connect"),
  "typed-ws": () => typed("ws"),
  "typed-auto": () => typed("auto"),
  json,
  "connect-web-json": () => plain(false),
  "connect-web-binary": () => plain(true),
};

globalThis.app = (apps[location.pathname.slice("/page/".length)] as () => App)();
