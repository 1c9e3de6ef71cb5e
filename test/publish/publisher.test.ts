import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Kind, type Message, Scope } from "../../gen/tidings/v1/message_pb.ts";
import { MemoryPresence } from "../../src/adapters/memory/presence.ts";
import { reasonOf } from "../../src/errors.ts";
import { activityFeed, everyoneFeed, type NamedFeed, tenantFeed, userFeed } from "../../src/feeds/feed.ts";
import type { OnlineTotals } from "../../src/ports/presence.ts";
import { roomFeed } from "../../src/rooms/grants.ts";
import { decodeMessage } from "../../src/wire/frame.ts";
import {
  reasonFrom,
  startTestCore,
  type TestCore,
  type To,
  toEveryone,
  toRoom,
  toTenant,
  toUser,
  toUsers,
  userOf,
  withTestCore,
} from "../support/core.ts";

let node: TestCore;
let tenants = 0;

beforeAll(async () => {
  node = await startTestCore({ maxMessageBytes: 1000 });
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

function json(value: JsonValue) {
  return { payload: { case: "json" as const, value: fromJson(ValueSchema, value) } };
}

describe("Publish", () => {
  const kinds = [Kind.NOTIFICATION, Kind.ACTIVITY, Kind.EVENT];
  const ttl = durationFromMs(60_000);

  test.each([Kind.NOTIFICATION, Kind.EVENT])("stores a message of kind %i for one user", async (kind) => {
    const tenant = freshTenant();
    const { messageId } = await node.publish(tenant, toUser("ann"), { kind, ttl });
    expect(await stored(userFeed(tenant, "ann"))).toMatchObject([{ id: messageId, kind, scope: Scope.USER }]);
    expect(await stored(userFeed(tenant, "bob"))).toEqual([]);
  });

  test.each([Kind.NOTIFICATION, Kind.EVENT])("stores a message of kind %i for several users", async (kind) => {
    const tenant = freshTenant();
    const { messageId } = await node.publish(tenant, toUsers("ann", "bob"), { kind, ttl });
    for (const user of ["ann", "bob"]) {
      expect(await stored(userFeed(tenant, user))).toMatchObject([{ id: messageId, kind, scope: Scope.USER }]);
    }
    expect(await stored(tenantFeed(tenant))).toEqual([]);
  });

  test("stores an activity with a receiver in the feed of activities, by one write", async () => {
    const tenant = freshTenant();
    const { messageId } = await node.publish(tenant, toUser("ann"), { kind: Kind.ACTIVITY });
    const expected = [{ id: messageId, scope: Scope.TENANT, receiverId: "ann" }];
    expect(await stored(activityFeed(tenant))).toMatchObject(expected);
    expect(await stored(userFeed(tenant, "ann"))).toEqual([]);
  });

  test("refuses an activity to several receivers", async () => {
    const kind = Kind.ACTIVITY;
    expect(await reasonFrom(node.publish(freshTenant(), toUsers("ann", "bob"), { kind }))).toBe("FIELD_INVALID");
  });

  test.each(kinds)("stores a message of kind %i to a tenant, activities in a feed of their own", async (kind) => {
    const tenant = freshTenant();
    const { messageId } = await node.publish(tenant, toTenant, { kind, ttl });
    const [feed, other] = kind === Kind.ACTIVITY ? [activityFeed, tenantFeed] : [tenantFeed, activityFeed];
    expect(await stored(feed(tenant))).toMatchObject([{ id: messageId, kind, scope: Scope.TENANT }]);
    expect(await stored(other(tenant))).toEqual([]);
  });

  test.each(kinds)("stores a message of kind %i to everyone", async (kind) => {
    const { messageId } = await node.publish(undefined, toEveryone, { kind, ttl });
    expect((await stored(everyoneFeed)).at(-1)).toMatchObject({ id: messageId, kind, scope: Scope.EVERYONE });
  });

  test("stores every field of the draft", async () => {
    const tenant = freshTenant();
    const draft = {
      category: "system",
      title: "T",
      content: "C",
      url: "/u",
      actor: { id: "bob", name: "Bob", avatarUrl: "/b.png" },
      object: { type: "task", id: "7" },
      event: "task.done",
      batchId: "b",
      ...json({ a: [1, null, "x"] }),
    };
    const { publishTime } = await node.publish(tenant, toUser("ann"), draft);
    const [message] = await stored(userFeed(tenant, "ann"));
    expect(message).toMatchObject({ ...draft, publishTime, read: false });
    expect(message?.expireTime).toBeUndefined();
    expect(publishTime).toEqual(timestampFromMs(node.clock.now()));
  });

  test("stores a binary payload and its content type", async () => {
    const tenant = freshTenant();
    const value = Uint8Array.from([0, 255, 7]);
    await node.publish(tenant, toUser("ann"), { payload: { case: "binary", value }, contentType: "image/png" });
    expect(await stored(userFeed(tenant, "ann"))).toMatchObject([
      { payload: { case: "binary", value }, contentType: "image/png" },
    ]);
  });

  test("names the event `message` unless the draft names it", async () => {
    const tenant = freshTenant();
    await node.publish(tenant, toUser("ann"));
    expect(await stored(userFeed(tenant, "ann"))).toMatchObject([{ event: "message" }]);
  });

  test("keeps a message for its ttl and no longer", async () => {
    const tenant = freshTenant();
    await node.publish(tenant, toUser("ann"), { ttl });
    const expireTime = timestampFromMs(node.clock.now() + 60_000);
    expect(await stored(userFeed(tenant, "ann"))).toMatchObject([{ expireTime }]);
    await node.pass(59_999);
    expect(await stored(userFeed(tenant, "ann"))).toHaveLength(1);
    await node.pass(1);
    expect(await stored(userFeed(tenant, "ann"))).toEqual([]);
  });
});

describe("The answer", () => {
  test("has the message id and one receipt per user, in the order given", async () => {
    const tenant = freshTenant();
    await node.live(userOf(tenant, "ann"));
    await node.live(userOf(tenant, "ann"));
    const answer = await node.publish(tenant, toUsers("bob", "ann", "bob"));
    expect(answer).toMatchObject({
      duplicate: false,
      onlineUsers: 0,
      messageId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(answer.receipts).toMatchObject([
      { userId: "bob", stored: true, online: false, connections: 0 },
      { userId: "ann", stored: true, online: true, connections: 2 },
    ]);
    expect(await stored(userFeed(tenant, "bob"))).toHaveLength(1);
  });

  test("counts the online users of the tenant, or of all tenants", async () => {
    const [one, two] = [freshTenant(), freshTenant()];
    const before = (await node.publish(undefined, toEveryone)).onlineUsers;
    for (const caller of [userOf(one, "ann"), userOf(one, "ann"), userOf(one, "bob"), userOf(two, "ann")])
      await node.live(caller);
    const answer = await node.publish(one, toTenant);
    expect(answer).toMatchObject({ onlineUsers: 2, receipts: [] });
    expect((await node.publish(undefined, toEveryone)).onlineUsers).toBe(before + 3);
  });
});

describe("An event without a ttl", () => {
  test("reaches open streams and is stored nowhere", async () => {
    const tenant = freshTenant();
    const reader = await node.live(userOf(tenant));
    const answer = await node.publish(tenant, toUser("ann"), { kind: Kind.EVENT, event: "typing" });
    expect(answer.receipts).toMatchObject([{ userId: "ann", stored: false, online: true }]);
    await reader.until(({ messages }) => messages.length > 0);
    expect(reader.messages).toMatchObject([{ id: answer.messageId, event: "typing" }]);
    expect(reader.messages[0]?.position).toBeUndefined();
    expect(await stored(userFeed(tenant, "ann"))).toEqual([]);
  });

  test("makes no call of the store", async () => {
    const before = node.called("append");
    await node.publish(freshTenant(), toTenant, { kind: Kind.EVENT });
    expect(node.called("append")).toBe(before);
  });

  test("but with a request_id reaches open streams once, however often it is sent", async () => {
    const tenant = freshTenant();
    const reader = await node.live(userOf(tenant));
    const send = () => node.publish(tenant, toUser("ann"), { kind: Kind.EVENT, event: "typing" }, { requestId: "r" });
    const [first, second] = [await send(), await send()];
    expect(second).toMatchObject({ messageId: first.messageId, duplicate: true, publishTime: first.publishTime });
    await node.settle();
    expect(reader.messages).toHaveLength(1);
    await node.pass(600_001);
    expect(await send()).toMatchObject({ duplicate: false });
  });
});

describe("A request_id", () => {
  test("gives one message, announced once, however often it is sent", async () => {
    const tenant = freshTenant();
    const reader = await node.live(userOf(tenant));
    const send = () => node.publish(tenant, toUsers("ann", "bob"), { title: "once" }, { requestId: "r" });
    const first = await send();
    await node.pass(5000);
    const answers = await Promise.all([send(), send(), send()]);
    for (const { messageId, duplicate, publishTime, receipts } of answers) {
      expect({ messageId, duplicate, publishTime }).toEqual({
        messageId: first.messageId,
        duplicate: true,
        publishTime: first.publishTime,
      });
      expect(receipts).toMatchObject([
        { userId: "ann", stored: true },
        { userId: "bob", stored: true },
      ]);
    }
    await node.settle();
    expect(reader.messages).toHaveLength(1);
    expect(await stored(userFeed(tenant, "ann"))).toHaveLength(1);
  });

  test("is refused with other content, which changes nothing", async () => {
    const tenant = freshTenant();
    await node.publish(tenant, toUser("ann"), { title: "one" }, { requestId: "r" });
    for (const [to, draft] of [
      [toUser("ann"), { title: "two" }],
      [toUser("bob"), { title: "one" }],
    ] as const) {
      expect(await reasonFrom(node.publish(tenant, to, draft, { requestId: "r" }))).toBe("REQUEST_ID_REUSED");
    }
    expect(await stored(userFeed(tenant, "ann"))).toHaveLength(1);
    expect(await stored(userFeed(tenant, "bob"))).toEqual([]);
  });

  test("belongs to one tenant", async () => {
    const [one, two] = [freshTenant(), freshTenant()];
    const ids = [];
    for (const tenant of [one, two])
      ids.push((await node.publish(tenant, toUser("ann"), {}, { requestId: "r" })).messageId);
    expect(new Set(ids).size).toBe(2);
  });

  test("is the same from a service that names the tenant and from one that is bound to it", async () => {
    const tenant = freshTenant();
    const first = await node.publish(tenant, toUser("ann"), {}, { requestId: "r" });
    const again = await node.publish(undefined, toUser("ann"), {}, { requestId: "r", tenantId: tenant });
    const named = await node.publish(tenant, toUser("ann"), {}, { requestId: "r", tenantId: tenant });
    expect([again, named]).toMatchObject([first, first].map(({ messageId }) => ({ messageId, duplicate: true })));
  });

  test("is the same for content whose JSON fields were encoded in another order", async () => {
    const tenant = freshTenant();
    const one = json({ a: 1, b: { c: [{ x: 1, y: 2 }], d: null }, 10: true });
    const same = json({ 10: true, b: { d: null, c: [{ y: 2, x: 1 }] }, a: 1 });
    const other = json({ a: 1, b: { c: [{ x: 2, y: 1 }], d: null }, 10: true });
    await node.publish(tenant, toUser("ann"), one, { requestId: "r" });
    expect(await node.publish(tenant, toUser("ann"), same, { requestId: "r" })).toMatchObject({ duplicate: true });
    expect(await reasonFrom(node.publish(tenant, toUser("ann"), other, { requestId: "r" }))).toBe("REQUEST_ID_REUSED");
  });

  test("is free again once its message has expired, after ten minutes at the earliest", async () => {
    const tenant = freshTenant();
    const send = () => node.publish(tenant, toUser("ann"), { ttl: durationFromMs(1000) }, { requestId: "r" });
    const first = await send();
    await node.pass(599_999);
    expect(await send()).toMatchObject({ duplicate: true, messageId: first.messageId });
    await node.pass(1);
    const second = await send();
    expect(second.duplicate).toBe(false);
    expect(second.messageId).not.toBe(first.messageId);
  });

  test("stays taken when its message is recalled", async () => {
    const tenant = freshTenant();
    const { messageId } = await node.publish(tenant, toUser("ann"), {}, { requestId: "r" });
    await node.core.recaller.recall(tenant, [messageId]);
    expect(await node.publish(tenant, toUser("ann"), {}, { requestId: "r" })).toMatchObject({
      messageId,
      duplicate: true,
    });
    expect(await stored(userFeed(tenant, "ann"))).toEqual([]);
  });
});

describe("A service", () => {
  async function refusal(tenant: string | undefined, to: To, tenantId = "") {
    return reasonFrom(node.publish(tenant, to, {}, { tenantId }));
  }

  test("that is bound to a tenant may publish in it and nowhere else", async () => {
    const tenant = freshTenant();
    expect(await node.publish(tenant, toTenant, {}, { tenantId: tenant })).toBeDefined();
    expect(await refusal(tenant, toTenant, "other")).toBe("TENANT_FORBIDDEN");
    expect(await refusal(tenant, toUser("ann"), "other")).toBe("TENANT_FORBIDDEN");
    expect(await refusal(tenant, toEveryone)).toBe("AUDIENCE_FORBIDDEN");
    expect(await refusal(tenant, toEveryone, tenant)).toBe("AUDIENCE_FORBIDDEN");
  });

  test("that is bound to no tenant may publish in the one that it names, or to everyone", async () => {
    const tenant = freshTenant();
    await node.publish(undefined, toUser("ann"), {}, { tenantId: tenant });
    expect(await stored(userFeed(tenant, "ann"))).toHaveLength(1);
    expect(await refusal(undefined, toUser("ann"))).toBe("TENANT_REQUIRED");
    expect(await refusal(undefined, toTenant)).toBe("TENANT_REQUIRED");
    expect(await refusal(undefined, toEveryone, tenant)).toBe("AUDIENCE_FORBIDDEN");
  });
});

describe("A user", () => {
  test("is the actor of the message, with the name and picture of the token, whatever the request says", async () => {
    const ann = { ...userOf(freshTenant(), "ann"), name: "Ann", avatarUrl: "/ann.png" };
    const nameless = userOf(ann.tenant, "bob");
    for (const kind of [Kind.NOTIFICATION, Kind.EVENT]) {
      const room = "dm/ann/bob";
      await node.say(ann, room, {
        kind,
        ttl: durationFromMs(1000),
        actor: { name: "Support", avatarUrl: "/support.png" },
      });
      await node.say(nameless, room, { kind, ttl: durationFromMs(1000), actor: { id: "bob", name: "Support" } });
    }
    const actors = (await stored(roomFeed(ann.tenant, "dm/ann/bob"))).map(({ actor }) => actor);
    const each = [
      { id: "ann", name: "Ann", avatarUrl: "/ann.png" },
      { id: "bob", name: "", avatarUrl: "" },
    ];
    expect(actors).toMatchObject([...each, ...each]);
  });

  test.each(["system", "admin", "SYSTEM", " system", "sys\u00adtem", "ｓｙｓｔｅｍ"])(
    "may not publish under the category %j, which a service may",
    async (category) => {
      const ann = userOf(freshTenant(), "ann");
      expect(await reasonFrom(node.say(ann, "dm/ann/bob", { category }))).toBe("CATEGORY_RESERVED");
      expect(await stored(roomFeed(ann.tenant, "dm/ann/bob"))).toEqual([]);
      await node.publish(ann.tenant, toRoom("dm/ann/bob"), { category });
    },
  );

  test("may publish under any category that is not reserved", async () => {
    await withTestCore(
      async (own) => {
        const ann = userOf("acme", "ann");
        for (const category of ["", "system", "systems"]) await own.say(ann, "dm/ann/bob", { category });
        expect(await reasonFrom(own.say(ann, "dm/ann/bob", { category: "Bank" }))).toBe("CATEGORY_RESERVED");
      },
      { reservedCategories: ["bank"] },
    );
  });
});

describe("Content and payload", () => {
  const euro = "€";

  test.each<[string, object, number]>([
    ["content", { content: "a".repeat(1001) }, 1001],
    ["content in UTF-8", { content: euro.repeat(334) }, 1002],
    ["bytes", { payload: { case: "binary", value: new Uint8Array(1001) } }, 1001],
    ["both together", { content: "a".repeat(500), payload: { case: "binary", value: new Uint8Array(501) } }, 1001],
  ])("may not exceed the limit: %s", async (_name, draft, size) => {
    const tenant = freshTenant();
    const error = await node.publish(tenant, toUser("ann"), draft).catch((error) => error as unknown);
    expect(error).toBeInstanceOf(ConnectError);
    expect(reasonOf(error as ConnectError)).toBe("MESSAGE_TOO_LARGE");
    expect((error as ConnectError).message).toContain(`message: content and payload have ${size} bytes`);
    expect(await stored(userFeed(tenant, "ann"))).toEqual([]);
  });

  test("may reach the limit", async () => {
    await node.publish(freshTenant(), toUser("ann"), { content: "a".repeat(1000) });
    await node.publish(freshTenant(), toUser("ann"), { content: euro.repeat(333) });
    expect(await reasonFrom(node.publish(freshTenant(), toUser("ann"), json("a".repeat(1000))))).toBe(
      "MESSAGE_TOO_LARGE",
    );
  });
});

/** A presence that fails to count. */
class DeadPresence extends MemoryPresence {
  override async count(): Promise<OnlineTotals> {
    throw new Error("presence is away");
  }

  override async connections(): Promise<readonly number[]> {
    throw new Error("presence is away");
  }
}

test("A publish that is stored is answered although presence fails to count", async () => {
  await withTestCore(
    async (alone) => {
      const { receipts } = await alone.publish("acme", toUsers("ann", "bob"));
      expect(receipts).toMatchObject([
        { stored: true, online: false },
        { stored: true, online: false },
      ]);
      expect((await alone.publish("acme", toTenant)).onlineUsers).toBe(0);
    },
    { presence: new DeadPresence() },
  );
});
