/** Zeros, false and empty lists in the JSON of Connect and of the bridge. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newTenant, startServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let user: string;
let service: string;

beforeAll(async () => {
  server = await startServer();
  const tenant = newTenant();
  user = await server.token({ tenant, sub: "ann" });
  service = await server.token({ tenant, sub: "backend", role: "service" });
});
afterAll(() => server.stop());

/** The JSON of a response. */
async function call(method: string, request: object, token = user): Promise<unknown> {
  const response = await fetch(`${server.url}/tidings.v1.PushService/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify(request),
  });
  return response.json();
}

describe("A response in JSON writes out", () => {
  test.each([
    ["ListUnread", {}, { messages: [], nextPageToken: "", unread: { total: 0, byCategory: {} } }],
    ["ListMessages", {}, { messages: [], nextPageToken: "" }],
    ["MarkRead", { all: true }, { unread: { total: 0, byCategory: {} } }],
    ["DeleteMessages", { ids: { messageIds: ["0198c0de-0000-7000-8000-000000000000"] } }, { unread: { total: 0 } }],
    ["OnlineCount", {}, { users: 0, connections: 0, presences: [] }],
  ])("the zeros and empty lists of %s", async (method, request, response) => {
    expect(await call(method, request)).toMatchObject(response);
  });

  test("the fields of a listed message that are empty", async () => {
    await call(
      "Publish",
      { audience: { userId: "ann" }, message: { kind: "KIND_NOTIFICATION", title: "one" } },
      service,
    );
    const { messages } = (await call("ListUnread", {})) as { messages: object[] };
    expect(messages).toMatchObject([{ title: "one", content: "", read: false }]);
    await call("MarkRead", { all: true });
  });
});

test("An event in JSON writes out its zeros, but a message leaves out its empty fields", async () => {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws`, ["tidings.v1.json"]);
  const seen = (name: string) =>
    new Promise<Record<string, unknown>>((resolve) => {
      socket.addEventListener("message", ({ data }) => {
        const event = JSON.parse(String(data)) as Record<string, Record<string, unknown>>;
        if (event[name]) resolve(event[name]);
      });
    });
  socket.onopen = () => socket.send(JSON.stringify({ token: user, subscribe: { onlineCount: true } }));
  const [hello, published, marked] = [seen("hello"), seen("message"), seen("readState")];
  expect(await hello).toMatchObject({ unread: { total: 0, byCategory: {} } });
  await call("Publish", { audience: { userId: "ann" }, message: { kind: "KIND_NOTIFICATION", title: "two" } }, service);
  const message = await published;
  expect(message).toMatchObject({ title: "two" });
  expect(message).not.toHaveProperty("content");
  await call("MarkRead", { all: true });
  expect(await marked).toMatchObject({ all: true, readIds: [], deletedIds: [], unread: { total: 0 } });
  socket.close();
});
