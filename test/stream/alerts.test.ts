import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { RoomMode } from "../../gen/tidings/v1/push_service_pb.ts";
import { Alerts } from "../../src/stream/alerts.ts";
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

/** How many of the streams alert for each message, in the order given. */
function alerts(readers: readonly Reader[], ids: readonly string[]): number[] {
  const alerting = readers.flatMap(({ messages }) => messages.filter(({ alert }) => alert).map(({ id }) => id));
  return ids.map((id) => alerting.filter((each) => each === id).length);
}

describe("A message alerts", () => {
  test("exactly one of each user's pages", async () => {
    const pages = await Promise.all(Array.from({ length: 8 }, () => node.live(ann)));
    const others = [await node.live(bob), await node.live(bob)];
    const ids = [
      (await node.publish("acme", toUsers("ann", "bob"))).messageId,
      (await node.publish("acme", toTenant)).messageId,
      ...(await node.publishMany("acme", toUsers("ann", "bob"), 20)),
    ];
    await node.settle();
    for (const reader of [...pages, ...others]) expect(reader.messages).toHaveLength(ids.length);
    expect(alerts(pages, ids)).toEqual(ids.map(() => 1));
    expect(alerts(others, ids)).toEqual(ids.map(() => 1));
  });

  test("one of the user's pages on each node", async () => {
    await withPair(async ({ near, far }) => {
      const [here, there] = await Promise.all([near, far].map((each) => Promise.all([each.live(ann), each.live(ann)])));
      const ids = await near.publishMany("acme", toUser("ann"), 3);
      await near.settle();
      await far.settle();
      for (const pages of [here, there]) expect(alerts(pages ?? [], ids)).toEqual([1, 1, 1]);
    });
  });

  test("exactly one page, even if pages show different categories at different speeds", async () => {
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
    expect(alerts([slow, quick, all], ids)).toEqual(ids.map(() => 1));
  });

  test("the members of its room, except its author", async () => {
    const speaker = member("ann", ["a"], { publish: ["a"] });
    const readers = [
      await node.live(speaker, joins(RoomMode.ANY, "a")),
      await node.live(member("bob", ["a"]), joins(RoomMode.ANY, "a")),
      await node.live(member("bob", ["a"])),
    ] as const;
    const { messageId } = await node.say(speaker, "a");
    const byService = await node.publish("acme", toRoom("a"), { actor: { id: "bob" } });
    await node.settle();
    expect(alerts([readers[0]], [messageId, byService.messageId])).toEqual([0, 1]);
    expect(alerts(readers.slice(1), [messageId, byService.messageId])).toEqual([1, 0]);
  });

  test("only its receiver if it is an activity", async () => {
    const readers = [await node.live(ann), await node.live(ann)];
    const others = [await node.live(bob)];
    const forAnn = await node.publish("acme", toUser("ann"), { kind: Kind.ACTIVITY });
    const forAll = await node.publish("acme", toTenant, { kind: Kind.ACTIVITY });
    await node.settle();
    const ids = [forAnn.messageId, forAll.messageId];
    expect(alerts(readers, ids)).toEqual([1, 0]);
    expect(alerts(others, ids)).toEqual([0, 0]);
    expect(others[0]?.messages.map(({ receiverId }) => receiverId)).toEqual(["ann", ""]);
  });

  test("no page if it is an event, stored or not", async () => {
    const reader = await node.live(ann);
    const ids = [
      (await node.publish("acme", toUser("ann"), { kind: Kind.EVENT })).messageId,
      (await node.publish("acme", toUser("ann"), { kind: Kind.EVENT, ttl: { seconds: 60n } })).messageId,
    ];
    await node.settle();
    expect(reader.messages).toHaveLength(2);
    expect(alerts([reader], ids)).toEqual([0, 0]);
  });
});

describe("On return, a message alerts", () => {
  test("if it is young and unread, and has not alerted before", async () => {
    const early = await node.live(ann);
    const heard = await node.publish("acme", toUser("ann"));
    await node.settle();
    await early.close();
    const [missed, read] = (await node.publishMany("acme", toUser("ann"), 2)) as [string, string];
    await node.markIds(ann, [read]);
    const back = [await node.live(ann, { positions: [own(0)] }), await node.live(ann, { positions: [own(0)] })];
    for (const reader of back) expect(reader.messages).toHaveLength(3);
    expect(alerts(back, [heard.messageId, missed, read])).toEqual([0, 1, 0]);
  });

  test("up to an age of five minutes, and not when it is older", async () => {
    const { messageId: old } = await node.publish("acme", toUser("ann"));
    await node.pass(1);
    const { messageId: young } = await node.publish("acme", toUser("ann"));
    await node.pass(300_000);
    const reader = await node.live(ann, { positions: [own(0)] });
    expect(alerts([reader], [old, young])).toEqual([0, 1]);
  });

  test("no page if it is older than `alertMs`", async () => {
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
      expect(alerts([reader], [first, late])).toEqual([1, 0]);
    } finally {
      await strict.close();
    }
  });
});

test("In a feed with ever more gaps the oldest gaps close: old messages no longer alert, new ones alert once", async () => {
  const [odd, all] = [await node.live(ann, { categories: ["odd"] }), await node.live(ann)];
  all.pause();
  const { messageId: last } = await node.publish("acme", toUser("ann"), { category: "even" });
  await node.settle();
  const ids = await node.publishMany("acme", toUser("ann"), 200, (index) => ({ category: index % 2 ? "odd" : "even" }));
  await node.settle();
  all.resume();
  await node.settle();
  const times = alerts([odd, all], [last, ...ids]);
  expect(times.every((count) => count <= 1)).toBe(true);
  expect(times.slice(-60)).toEqual(times.slice(-60).map(() => 1));
});

describe("Alerts", () => {
  test("never forgets a user with an open stream, and of the others at most 10,000", () => {
    const remembered = new Alerts(1000);
    const first = remembered.enter(ann);
    const feed = remembered.ofFeed(first, "user");
    for (let index = 0; index < 10_100; index++) {
      const user = userOf("acme", `user-${index}`);
      remembered.ofFeed(remembered.enter(user), "user");
      remembered.leave(user);
    }
    expect([remembered.open, remembered.left]).toEqual([1, 10_000]);
    const second = remembered.enter(ann);
    expect(remembered.ofFeed(second, "user")).toBe(feed);
    remembered.leave(ann);
    expect(remembered.open).toBe(1);
    remembered.leave(ann);
    expect(remembered.open).toBe(0);
    expect(remembered.enter(ann), "a page that returns").toBe(first);
  });

  test("keeps nothing of a user who left without a message", () => {
    const remembered = new Alerts(1000);
    remembered.enter(ann);
    remembered.leave(ann);
    expect([remembered.open, remembered.left]).toEqual([0, 0]);
  });

  test("remembers 512 feeds of a page that enters one room after the other", () => {
    const remembered = new Alerts(1000);
    const alerted = remembered.enter(ann);
    for (let index = 0; index < 1000; index++) remembered.ofFeed(alerted, `room/${index}`);
    expect([alerted.feeds.size, alerted.feeds.has("room/999"), alerted.feeds.has("room/0")]).toEqual([
      512,
      true,
      false,
    ]);
  });
});
