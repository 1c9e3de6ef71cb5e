import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { RoomMode } from "../../gen/tidings/v1/push_service_pb.ts";
import { startTestCore, type TestCore, toRoom, toTenant, toUser, toUsers, userOf } from "../support/core.ts";
import { withPair } from "../support/nodes.ts";
import type { Reader } from "../support/reader.ts";
import { joins, member } from "../support/rooms.ts";

const ann = userOf("acme");
const bob = userOf("acme", "bob");
const own = (seq: number) => ({ feed: "user", epoch: 0, seq: String(seq) });
let node: TestCore;
beforeEach(async () => {
  node = await startTestCore();
});
afterEach(() => node.close());

/** How many streams ring for each message, in the order given. */
function rings(readers: readonly Reader[], ids: readonly string[]): number[] {
  const alerting = readers.flatMap(({ messages }) => messages.filter(({ alert }) => alert).map(({ id }) => id));
  return ids.map((id) => alerting.filter((each) => each === id).length);
}

describe("a message rings", () => {
  test("on exactly one of a user's many pages, and for each user", async () => {
    const pages = await Promise.all(Array.from({ length: 8 }, () => node.live(ann)));
    const others = [await node.live(bob), await node.live(bob)];
    const ids = [
      (await node.publish("acme", toUsers("ann", "bob"))).messageId,
      (await node.publish("acme", toTenant)).messageId,
      ...(await node.publishMany("acme", toUsers("ann", "bob"), 20)),
    ];
    await node.settle();
    for (const reader of [...pages, ...others]) expect(reader.messages).toHaveLength(ids.length);
    expect(rings(pages, ids)).toEqual(ids.map(() => 1));
    expect(rings(others, ids)).toEqual(ids.map(() => 1));
  });

  test("on one of the user's pages on each node", async () => {
    await withPair(async ({ near, far }) => {
      const [here, there] = await Promise.all([near, far].map((each) => Promise.all([each.live(ann), each.live(ann)])));
      const ids = await near.publishMany("acme", toUser("ann"), 3);
      await near.settle();
      await far.settle();
      for (const pages of [here, there]) expect(rings(pages ?? [], ids)).toEqual([1, 1, 1]);
    });
  });

  test("on exactly one also when pages show different categories, at different speeds", async () => {
    const slow = await node.live(ann, { categories: ["x"] });
    const quick = await node.live(ann, { categories: ["y"] });
    const all = await node.live(ann, { categories: ["x", "y"] });
    slow.pause();
    all.pause();
    const ids = [];
    for (let index = 0; index < 30; index++) {
      const category = index % 3 === 0 ? "x" : "y";
      ids.push((await node.publish("acme", toUser("ann"), { category })).messageId);
      await node.settle();
    }
    slow.resume();
    await node.settle();
    all.resume();
    await node.settle();
    expect(rings([slow, quick, all], ids)).toEqual(ids.map(() => 1));
  });

  test("in a room for its members, and not for who said it", async () => {
    const speaker = member("ann", ["a"], { publish: ["a"] });
    const readers = [
      await node.live(speaker, joins(RoomMode.ANY, "a")),
      await node.live(member("bob", ["a"]), joins(RoomMode.ANY, "a")),
      await node.live(member("bob", ["a"])),
    ] as const;
    const { messageId } = await node.say(speaker, "a");
    const byService = await node.publish("acme", toRoom("a"), { actor: { id: "bob" } });
    await node.settle();
    expect(rings([readers[0]], [messageId, byService.messageId])).toEqual([0, 1]);
    expect(rings(readers.slice(1), [messageId, byService.messageId])).toEqual([1, 0]);
  });

  test("when it is an activity for whom it concerns, and no activity rings for others", async () => {
    const readers = [await node.live(ann), await node.live(ann)];
    const others = [await node.live(bob)];
    const forAnn = await node.publish("acme", toUser("ann"), { kind: Kind.ACTIVITY });
    const forAll = await node.publish("acme", toTenant, { kind: Kind.ACTIVITY });
    await node.settle();
    const ids = [forAnn.messageId, forAll.messageId];
    expect(rings(readers, ids)).toEqual([1, 0]);
    expect(rings(others, ids)).toEqual([0, 0]);
    expect(others[0]?.messages.map(({ receiverId }) => receiverId)).toEqual(["ann", ""]);
  });

  test("not when it is an event, kept or not", async () => {
    const reader = await node.live(ann);
    const ids = [
      (await node.publish("acme", toUser("ann"), { kind: Kind.EVENT })).messageId,
      (await node.publish("acme", toUser("ann"), { kind: Kind.EVENT, ttl: { seconds: 60n } })).messageId,
    ];
    await node.settle();
    expect(reader.messages).toHaveLength(2);
    expect(rings([reader], ids)).toEqual([0, 0]);
  });
});

describe("on return, a message rings", () => {
  test("when it is young, unread, and has not rung before", async () => {
    const early = await node.live(ann);
    const heard = await node.publish("acme", toUser("ann"));
    await node.settle();
    await early.close();
    const [missed, read] = (await node.publishMany("acme", toUser("ann"), 2)) as [string, string];
    await node.markIds(ann, [read]);
    const back = [await node.live(ann, { positions: [own(0)] }), await node.live(ann, { positions: [own(0)] })];
    for (const reader of back) expect(reader.messages).toHaveLength(3);
    expect(rings(back, [heard.messageId, missed, read])).toEqual([0, 1, 0]);
  });

  test("not when it is older than five minutes, and still at five", async () => {
    const { messageId: old } = await node.publish("acme", toUser("ann"));
    await node.pass(1);
    const { messageId: young } = await node.publish("acme", toUser("ann"));
    await node.pass(300_000);
    const reader = await node.live(ann, { positions: [own(0)] });
    expect(rings([reader], [old, young])).toEqual([0, 1]);
  });

  test("not when it is older than the operator says", async () => {
    const strict = await startTestCore({ alertMs: 0 });
    try {
      const reader = await strict.live(ann);
      reader.pause();
      const { messageId: first } = await strict.publish("acme", toUser("ann"));
      await strict.settle();
      const { messageId: late } = await strict.publish("acme", toUser("ann"));
      await strict.pass(1);
      reader.resume();
      await strict.settle();
      expect(rings([reader], [first, late])).toEqual([1, 0]);
    } finally {
      await strict.close();
    }
  });
});

test("of a feed with ever more gaps the oldest close: what was there rings no more, what is new once", async () => {
  const [odd, all] = [await node.live(ann, { categories: ["odd"] }), await node.live(ann)];
  all.pause();
  const { messageId: last } = await node.publish("acme", toUser("ann"), { category: "even" });
  await node.settle();
  const ids = await node.publishMany("acme", toUser("ann"), 200, (index) => ({ category: index % 2 ? "odd" : "even" }));
  await node.settle();
  all.resume();
  await node.settle();
  const times = rings([odd, all], [last, ...ids]);
  expect(times.every((count) => count <= 1)).toBe(true);
  expect(times.slice(-60)).toEqual(times.slice(-60).map(() => 1));
});
