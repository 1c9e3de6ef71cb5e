/** Requests just within the limits; requests.ts has those just beyond. */
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Kind, PushService } from "../../../src/gen.ts";
import { pathOf, post } from "./raw.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;
let client: Client<typeof PushService>;

beforeAll(async () => {
  stage = await openStage();
  client = createClient(PushService, createConnectTransport({ baseUrl: stage.server.url, httpVersion: "2" }));
});

afterAll(() => stage.close());

const ids = (count: number) => Array.from({ length: count }, (_, index) => `${index}`.padStart(128, "u"));
const toBob = { to: { case: "userId", value: "bob" } } as const;

test("Publish takes 65,536 bytes of content and payload together", async () => {
  const message = {
    kind: Kind.NOTIFICATION,
    content: "ü".repeat(20_000),
    payload: { case: "binary", value: new Uint8Array(25_536) },
  } as const;
  const { messageId } = await client.publish({ audience: toBob, message }, { headers: stage.as("service") });
  const { messages } = await client.listMessages({ pageSize: 1 }, { headers: stage.as("bob") });
  expect(messages[0]).toMatchObject({ id: messageId, content: message.content, payload: { case: "binary" } });
  expect(messages[0]?.payload.value).toHaveLength(25_536);
});

test("Publish and OnlineCount take 10,000 users with ids of 128 characters", async () => {
  const users = { case: "users", value: { userIds: ids(10_000) } } as const;
  const message = { kind: Kind.NOTIFICATION, title: "t" };
  const { receipts } = await client.publish({ audience: { to: users }, message }, { headers: stage.as("service") });
  expect(receipts.filter(({ stored }) => stored)).toHaveLength(10_000);
  const { presences } = await client.onlineCount({ scope: users }, { headers: stage.as("service") });
  expect(presences).toHaveLength(10_000);
});

test("PublishBatch takes 1,000 publishes", async () => {
  const requests = Array(1_000).fill({ audience: toBob, message: { kind: Kind.NOTIFICATION, title: "t" } });
  const { outcomes } = await client.publishBatch({ requests }, { headers: stage.as("service") });
  expect(outcomes.filter(({ result }) => result.case === "ok")).toHaveLength(1_000);
});

test("MarkRead takes 1,000 ids, and pages are cut to 100 messages", async () => {
  const target = { case: "ids", value: { messageIds: ids(1_000) } } as const;
  expect(await client.markRead({ target }, { headers: stage.as("bob") })).toMatchObject({ changed: 0 });
  const { messages } = await client.listMessages({ pageSize: 2_000_000_000 }, { headers: stage.as("bob") });
  expect(messages).toHaveLength(100);
});

const kibibyte = 1024;

describe("A request of", () => {
  test.each([
    ["Publish", "service", 3_072],
    ["PublishBatch", "service", 16_384],
    ["OnlineCount", "service", 3_072],
    ["ListUnread", "ann", 256],
    ["ListMessages", "ann", 256],
    ["MarkRead", "ann", 256],
    ["DeleteMessages", "ann", 256],
  ] as const)("%s from a %s is read up to %i KiB", async (method, as, limit) => {
    const headers = { "content-type": "application/json", ...(stage.as(as) as Record<string, string>) };
    const url = stage.server.url + pathOf(method);
    const most = await post(url, `{"x":"${"x".repeat(limit * kibibyte - 8)}"}`, headers);
    expect(most.refusal?.reason).not.toBe("REQUEST_TOO_LARGE");
    const more = await post(url, `{"x":"${"x".repeat(limit * kibibyte - 7)}"}`, headers);
    expect(more.refusal).toMatchObject({ code: "ResourceExhausted", reason: "REQUEST_TOO_LARGE" });
  });
});
