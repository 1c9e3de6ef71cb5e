import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { fail } from "../../src/errors.ts";
import {
  serviceOf,
  startTestCore,
  type TestCore,
  toEveryone,
  toTenant,
  toUser,
  userOf,
  withTestCore,
} from "../support/core.ts";

const ann = userOf("acme");
let node: TestCore;
beforeEach(async () => {
  node = await startTestCore();
});
afterEach(() => node.close());

/** A position, by default in the user's own feed; epoch 0 stands for the present one. */
function at(seq: number, feed = "user", epoch = 0) {
  return { feed, epoch, seq: String(seq) };
}

test("A stream delivers more messages than one batch holds, all and in order", async () => {
  const reader = await node.live(ann);
  const ids = await node.publishMany("acme", toTenant, 200);
  await reader.until(({ messages }) => messages.length >= 200);
  expect(reader.messages.map(({ id }) => id)).toEqual(ids);
});

describe("Hello", () => {
  test("comes first, with totals, positions, and the online count that includes this stream", async () => {
    await node.publish("acme", toUser("ann"), { category: "a" });
    await node.publish("acme", toTenant, { category: "b" });
    await node.live(userOf("acme", "bob"));
    const reader = await node.live(ann);
    expect(reader.events.map((event) => event.case)).toEqual(["hello", "caughtUp"]);
    const hello = await reader.first("hello");
    expect(hello).toMatchObject({
      subscriptionId: reader.subscription.id,
      heartbeatInterval: { seconds: 25n, nanos: 0 },
      unread: { total: 2, byCategory: { a: 1, b: 1 } },
      online: { users: 2, connections: 2 },
    });
    const epoch = hello.positions[0]?.epoch;
    expect(epoch).toBeGreaterThan(0);
    expect(hello.positions).toMatchObject([
      { feed: "user", epoch, seq: "1" },
      { feed: "tenant", epoch, seq: "1" },
      { feed: "everyone", epoch, seq: "0" },
      { feed: "activity", epoch, seq: "0" },
    ]);
  });

  test("of a service has no totals, and the feeds of its tenant", async () => {
    const bound = await (await node.live(serviceOf("acme"))).first("hello");
    expect(bound.unread).toBeUndefined();
    expect(bound.positions.map(({ feed }) => feed)).toEqual(["tenant", "everyone", "activity"]);
    const free = await (await node.live(serviceOf())).first("hello");
    expect(free.positions.map(({ feed }) => feed)).toEqual(["everyone"]);
    expect(free.online).toMatchObject({ users: 0, connections: 0 });
  });
});

describe("A stream that resumes", () => {
  test("gets exactly the messages after its position, then CaughtUp, then live messages", async () => {
    const ids = await node.publishMany("acme", toUser("ann"), 5);
    const reader = node.subscribe(ann, { positions: [at(2)] });
    await reader.first("caughtUp");
    const { messageId } = await node.publish("acme", toUser("ann"));
    await reader.until(({ messages }) => messages.length === 4);
    expect(reader.events.map((event) => event.case)).toEqual([
      "hello",
      "message",
      "message",
      "message",
      "caughtUp",
      "message",
    ]);
    expect(reader.messages.map(({ id }) => id)).toEqual([...ids.slice(2), messageId]);
    expect(reader.messages.map(({ position }) => position?.seq)).toEqual(["3", "4", "5", "6"]);
    expect(reader.badge.total).toBe(6);
  });

  test("gets more messages than a page holds, each once and in order, large ones too", async () => {
    const big = { payload: { case: "binary" as const, value: new Uint8Array(20_000) } };
    const ids = [
      ...(await node.publishMany("acme", toUser("ann"), 500)),
      ...(await node.publishMany("acme", toUser("ann"), 40, () => big)),
    ];
    const reader = node.subscribe(ann, { positions: [at(0)] });
    const { positions } = await reader.first("caughtUp");
    expect(reader.messages.map(({ id }) => id)).toEqual(ids);
    expect(positions.find(({ feed }) => feed === "user")?.seq).toBe("540");
  });

  test("starts at the end of feeds for which it gives no position", async () => {
    await node.publish("acme", toTenant);
    const own = await node.publish("acme", toUser("ann"));
    const reader = node.subscribe(ann, { positions: [at(0)] });
    await reader.first("caughtUp");
    expect(reader.messages.map(({ id }) => id)).toEqual([own.messageId]);
  });

  test("gets positions past the messages that its filters left out", async () => {
    await node.publishMany("acme", toUser("ann"), 3, (index) => ({ category: index === 0 ? "a" : "b" }));
    const reader = node.subscribe(ann, { positions: [at(0)], categories: ["a"] });
    const { positions } = await reader.first("caughtUp");
    expect(reader.messages).toHaveLength(1);
    expect(positions[0]).toMatchObject({ feed: "user", seq: "3" });
  });

  test("gets no recalled and no expired messages", async () => {
    const ids = await node.publishMany("acme", toUser("ann"), 3, (index) =>
      index === 1 ? { ttl: { seconds: 1n } } : {},
    );
    await node.core.recaller.recall("acme", [ids[0] as string]);
    await node.pass(1000);
    const reader = node.subscribe(ann, { positions: [at(0)] });
    await reader.first("caughtUp");
    expect(reader.messages.map(({ id }) => id)).toEqual([ids[2]]);
    expect(reader.all("gap")).toEqual([]);
  });

  test("gets a gap if its position is of another epoch", async () => {
    await node.publishMany("acme", toUser("ann"), 3);
    const reader = node.subscribe(ann, { positions: [at(99, "user", 7)] });
    await reader.first("caughtUp");
    expect(reader.all("gap")).toMatchObject([
      { after: { feed: "user", epoch: 7, seq: "99" }, to: { feed: "user", seq: "3" } },
    ]);
    expect(reader.messages).toEqual([]);
  });

  test.each([
    ["POSITION_IN_FUTURE", [at(4)], "positions[0]"],
    ["POSITION_INVALID", [at(1), at(1, "room/x")], "positions[1].feed"],
    ["POSITION_INVALID", [at(1), at(2)], "positions"],
  ])("gets %s and no Hello for bad positions", async (reason, positions, field) => {
    await node.publishMany("acme", toUser("ann"), 3);
    const reader = node.subscribe(ann, { positions });
    expect(await reader.end()).toBe(reason);
    expect(reader.error?.message).toContain(`${field}:`);
    expect(reader.events).toEqual([]);
    expect(node.core.context.hub.size).toBe(0);
    expect(await node.core.context.presence.count("acme")).toEqual({ users: 0, connections: 0 });
  });

  test("is refused if it names a feed that only others follow", async () => {
    expect(await node.subscribe(serviceOf("acme"), { positions: [at(0)] }).end()).toBe("POSITION_INVALID");
    expect(await node.subscribe(serviceOf(), { positions: [at(0, "tenant")] }).end()).toBe("POSITION_INVALID");
  });
});

describe("A live stream", () => {
  test("gets its messages of every feed, and no others", async () => {
    const reader = await node.live(ann);
    const wanted = [
      await node.publish("acme", toUser("ann")),
      await node.publish("acme", toTenant),
      await node.publish(undefined, toEveryone),
      await node.publish("acme", toTenant, { kind: Kind.ACTIVITY }),
      await node.publish("acme", toUser("ann"), { kind: Kind.EVENT }),
    ];
    await node.publish("acme", toUser("bob"));
    await node.publish("globex", toUser("ann"));
    await node.publish("globex", toTenant);
    await node.settle();
    expect(reader.messages.map(({ id }) => id).sort()).toEqual(wanted.map(({ messageId }) => messageId).sort());
  });

  test("with filters gets the messages that pass, and new totals for those that it cannot count", async () => {
    const reader = await node.live(ann, { kinds: [Kind.NOTIFICATION], categories: ["a"], events: ["x"] });
    const passing = await node.publish("acme", toUser("ann"), { category: "a", event: "x" });
    for (const draft of [
      { category: "b", event: "x" },
      { category: "a", event: "y" },
      { category: "a", event: "x", kind: Kind.ACTIVITY },
    ]) {
      await node.publish("acme", toUser("ann"), draft);
    }
    await node.settle();
    expect(reader.messages.map(({ id }) => id)).toEqual([passing.messageId]);
    expect(reader.badge).toEqual({
      total: 3,
      byCategory: new Map([
        ["a", 2],
        ["b", 1],
      ]),
    });
  });

  test("gets new totals when a message that it counted expires", async () => {
    await node.publish("acme", toUser("ann"), { category: "old", ttl: { seconds: 2n } });
    const reader = await node.live(ann);
    await node.publish("acme", toUser("ann"), { category: "new", ttl: { seconds: 1n } });
    await node.pass(999);
    expect(reader.badge.total).toBe(2);
    await node.pass(1);
    expect(reader.badge).toEqual({ total: 1, byCategory: new Map([["old", 1]]) });
    await node.pass(1000);
    expect(reader.badge.total).toBe(0);
    expect(reader.all("readState")).toHaveLength(2);
  });

  test("with a slow reader gets every message once and in order, beyond what the ring holds", async () => {
    const reader = node.subscribe(ann, {}, { paused: true });
    await reader.first("hello");
    const ids = await node.publishMany("acme", toUser("ann"), 700);
    const broadcasts = await node.publishMany("acme", toTenant, 300);
    reader.resume();
    await reader.until(({ messages }) => messages.length === 1000);
    const of = (feed: string) => reader.messages.filter(({ position }) => position?.feed === feed).map(({ id }) => id);
    expect([of("user"), of("tenant")]).toEqual([ids, broadcasts]);
    expect(reader.badge.total).toBe(1000);
  });

  test("with a reader slower than retention gets a gap", async () => {
    await withTestCore(
      async (node) => {
        const reader = await node.live(ann);
        reader.pause();
        await node.publish("acme", toUser("ann"));
        await node.settle();
        await node.publishMany("acme", toUser("ann"), 999);
        reader.resume();
        await reader.until(({ messages }) => messages.at(-1)?.position?.seq === "1000");
        const seqs = reader.messages.map(({ position }) => Number(position?.seq));
        const [gap, ...more] = reader.all("gap");
        expect(more).toEqual([]);
        expect(Number(gap?.to?.seq) - Number(gap?.after?.seq)).toBe(1000 - seqs.length);
        expect(new Set(seqs).size).toBe(seqs.length);
      },
      { retention: { count: 100 } },
    );
  });

  test("does not get a message that is recalled before it is sent, and learns of the recall", async () => {
    const reader = await node.live(ann);
    reader.pause();
    await node.publish("acme", toUser("ann"));
    await node.settle();
    const ids = await node.publishMany("acme", toUser("ann"), 2);
    await node.core.recaller.recall("acme", [ids[0] as string]);
    reader.resume();
    await node.settle();
    expect(reader.messages.map(({ id }) => id)).not.toContain(ids[0]);
    expect(reader.all("readState").flatMap(({ deletedIds }) => deletedIds)).toEqual([ids[0]]);
    expect(reader.badge.total).toBe(2);
  });

  test("with a slow reader of one busy feed still gets the other feeds and its totals", async () => {
    const reader = await node.live(ann);
    reader.pause();
    await node.publishMany("acme", toTenant, 64);
    await node.settle();
    const { messageId } = await node.publish("acme", toUser("ann"));
    await node.markIds(ann, [messageId]);
    // Whenever the reader takes a batch, the busy feed has another full one.
    for (let round = 0; round < 20; round++) {
      await node.publishMany("acme", toTenant, 64);
      reader.step();
      await node.settle();
    }
    expect(reader.messages.map(({ id }) => id)).toContain(messageId);
    expect(reader.all("readState").length).toBeGreaterThan(0);
  });
});

test("A page that was away does not get messages that the user deleted elsewhere", async () => {
  const [kept, gone] = [await node.publish("acme", toUser("ann")), await node.publish("acme", toUser("ann"))];
  await node.delete(ann, { ids: { messageIds: [gone.messageId] } });
  const reader = node.subscribe(ann, { positions: [at(0)] });
  await reader.first("caughtUp");
  expect(reader.messages.map(({ id }) => id)).toEqual([kept.messageId]);
});

test("A reader that lags while the store is away asks it about once a second, and then gets everything", async () => {
  let isAway = false;
  let asked = 0;
  await withTestCore(
    async (node) => {
      const reader = await node.live(ann);
      reader.pause();
      // More than the ring of the feed holds, behind a first message that the reader does not take.
      const ids = await node.publishMany("acme", toUser("ann"), 1);
      await node.settle();
      ids.push(...(await node.publishMany("acme", toUser("ann"), 600)));
      await node.settle();
      isAway = true;
      reader.resume();
      await node.pass(3_000);
      expect([asked > 0, asked <= 4]).toEqual([true, true]);
      isAway = false;
      await node.pass(3_000);
      expect(reader.messages.map(({ id }) => id)).toEqual(ids);
    },
    {
      async around(method, call) {
        if (!isAway || method !== "read") return call();
        // Ends a loop that lets no time pass.
        if (++asked > 1_000) isAway = false;
        throw fail("STORE_UNAVAILABLE", "away");
      },
    },
  );
});
