import { ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Kind, type Message } from "../../gen/tidings/v1/message_pb.ts";
import type { PublishResponse } from "../../gen/tidings/v1/push_service_pb.ts";
import { fail, reasonOf } from "../../src/errors.ts";
import { type NamedFeed, userFeed } from "../../src/feeds/feed.ts";
import { decodeMessage } from "../../src/wire/frame.ts";
import {
  publishRequest,
  reasonFrom,
  serviceOf,
  startTestCore,
  type TestCore,
  toEveryone,
  toTenant,
  toUser,
  toUsers,
  userOf,
} from "../support/core.ts";

let node: TestCore;
let broken = false;
let tenants = 0;

beforeAll(async () => {
  node = await startTestCore({
    maxMessageBytes: 1000,
    async around(method, call) {
      if (broken && method === "append") throw fail("STORE_UNAVAILABLE", "the disk is full");
      return call();
    },
  });
});
afterAll(() => node.close());

/** A tenant that no other test uses. */
function freshTenant(): string {
  return `tenant-${++tenants}`;
}

/** The messages in a feed as stored. */
async function stored({ key, name }: NamedFeed): Promise<Message[]> {
  const { entries } = await node.store.read(key, 0, Number.MAX_SAFE_INTEGER, 1000, node.clock.now());
  return entries.map(({ body, epoch, seq }) => decodeMessage(body, { feed: name, epoch, seq: String(seq) }));
}

test("A large batch is stored in slices, in order, and another publish gets in between", async () => {
  const tenant = freshTenant();
  const users = toUsers(...Array.from({ length: 1_500 }, (_, index) => `u${index}`));
  const requests = Array.from({ length: 4 }, (_, index) => publishRequest(users, { title: `${index}` }));
  const before = node.called("append");
  const batch = node.core.publisher.publish(serviceOf(tenant), requests);
  const between = node.publish(tenant, toUser("u0"), { title: "between" });
  const [outcomes] = await Promise.all([batch, between]);
  expect(outcomes.map((outcome) => outcome instanceof Error || outcome.receipts.length)).toEqual([
    1500, 1500, 1500, 1500,
  ]);
  expect(node.called("append") - before).toBe(5);
  const titles = (await stored(userFeed(tenant, "u0"))).map(({ title }) => title);
  expect(titles.filter((title) => title !== "between")).toEqual(["0", "1", "2", "3"]);
  expect(titles.at(-1)).not.toBe("between");
});

describe("A publish of many requests", () => {
  test("answers each in order, and a bad request neither changes anything nor hinders another", async () => {
    const tenant = freshTenant();
    const invalid = fail("FIELD_INVALID", "bad", { field: "requests[1].message" });
    const outcomes = await node.core.publisher.publish(serviceOf(tenant), [
      publishRequest(toUser("ann"), { title: "a" }),
      invalid,
      publishRequest(toEveryone),
      publishRequest(toUser("ann"), { content: "x".repeat(2000) }),
      publishRequest(toUser("ann"), { title: "b" }),
      publishRequest(toUser("ann"), { kind: Kind.EVENT, title: "live" }),
    ]);
    expect(outcomes.map((outcome) => (outcome instanceof ConnectError ? reasonOf(outcome) : "ok"))).toEqual([
      "ok",
      "FIELD_INVALID",
      "AUDIENCE_FORBIDDEN",
      "MESSAGE_TOO_LARGE",
      "ok",
      "ok",
    ]);
    expect(outcomes[1]).toBe(invalid);
    const messages = await stored(userFeed(tenant, "ann"));
    expect(messages.map(({ title }) => title)).toEqual(["a", "b"]);
    expect([outcomes[0], outcomes[4]].map((outcome) => (outcome as PublishResponse).messageId)).toEqual(
      messages.map(({ id }) => id),
    );
  });

  test("recognises a request_id that occurs twice in it", async () => {
    const tenant = freshTenant();
    const reader = await node.live(userOf(tenant));
    const send = (title: string) => publishRequest(toUser("ann"), { title }, { requestId: "r" });
    const [first, same, other] = await node.core.publisher.publish(serviceOf(tenant), [
      send("a"),
      send("a"),
      send("b"),
    ]);
    expect(first).toMatchObject({ duplicate: false });
    expect(same).toMatchObject({ duplicate: true, messageId: (first as PublishResponse).messageId });
    expect(reasonOf(other as ConnectError)).toBe("REQUEST_ID_REUSED");
    await node.settle();
    expect(reader.messages).toHaveLength(1);
  });

  test("appends all messages by one call of the store", async () => {
    const before = node.called("append");
    await node.publishMany(freshTenant(), toTenant, 100);
    expect(node.called("append")).toBe(before + 1);
  });

  test("with nothing but bad requests makes no call of the store", async () => {
    const before = node.called("append");
    const outcomes = await node.core.publisher.publish(serviceOf("acme"), [
      publishRequest(toEveryone),
      publishRequest(toEveryone),
    ]);
    expect(outcomes).toHaveLength(2);
    expect(node.called("append")).toBe(before);
  });

  test("fails as a whole, and announces nothing, when the store fails", async () => {
    const tenant = freshTenant();
    const reader = await node.live(userOf(tenant));
    const requests = [publishRequest(toUser("ann")), publishRequest(toUser("ann"), { kind: Kind.EVENT })];
    broken = true;
    try {
      expect(await reasonFrom(node.core.publisher.publish(serviceOf(tenant), requests))).toBe("STORE_UNAVAILABLE");
    } finally {
      broken = false;
    }
    await node.settle();
    expect(reader.messages).toEqual([]);
  });
});

test("A broadcast is one write, however many users there are", async () => {
  const tenant = freshTenant();
  for (let index = 0; index < 20; index++) await node.live(userOf(tenant, `user-${index}`));
  const before = [node.called("append"), node.called("saveReadState")];
  await node.publish(tenant, toTenant);
  await node.settle();
  expect([node.called("append"), node.called("saveReadState")]).toEqual([(before[0] ?? 0) + 1, before[1]]);
});
