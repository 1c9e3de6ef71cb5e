import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import {
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
beforeAll(async () => {
  node = await startTestCore();
});
afterAll(() => node.close());

describe("A recall", () => {
  test("takes a message out of every inbox, list and page", async () => {
    const users = ["ann", "bob"].map((name) => userOf("acme", name));
    const readers = [];
    for (const user of users) readers.push(await node.live(user));
    const { messageId } = await node.publish("acme", toUsers("ann", "bob"));
    expect(await node.core.recaller.recall("acme", [messageId])).toBe(1);
    for (const reader of readers) {
      expect(await reader.first("readState")).toMatchObject({ deletedIds: [messageId], unread: { total: 0 } });
      expect(reader.badge.total).toBe(0);
    }
    for (const user of users) {
      expect((await node.messages(user)).messages).toEqual([]);
      expect((await node.unread(user)).unread.total).toBe(0);
      expect((await node.markIds(user, [messageId])).changed).toBe(0);
    }
  });

  test("removes nothing when it is repeated, but notifies readers again", async () => {
    const reader = await node.live(userOf("twice"));
    const { messageId } = await node.publish("twice", toUser("ann"));
    expect(await node.core.recaller.recall("twice", [messageId, messageId])).toBe(1);
    expect(await node.core.recaller.recall("twice", [messageId])).toBe(0);
    await node.settle();
    expect(reader.all("readState")).toMatchObject(
      [1, 2].map(() => ({ deletedIds: [messageId], unread: { total: 0 } })),
    );
  });

  test("of foreign, missing or malformed ids removes nothing", async () => {
    const { messageId } = await node.publish("one", toUser("ann"));
    await node.pass(1);
    const { messageId: forAll } = await node.publish(undefined, toEveryone);
    expect(await node.core.recaller.recall("two", [messageId, forAll, "nonsense", ""])).toBe(0);
    expect((await node.messages(userOf("one"))).messages.map(({ id }) => id)).toEqual([forAll, messageId]);
    expect(await node.core.recaller.recall("", [forAll, messageId])).toBe(1);
    expect((await node.messages(userOf("one"))).messages.map(({ id }) => id)).toEqual([messageId]);
  });

  test("reaches the streams of every tenant when the message was published to everyone", async () => {
    const readers = [await node.live(userOf("left")), await node.live(userOf("right"))];
    const { messageId } = await node.publish(undefined, toEveryone);
    await node.core.recaller.recall("", [messageId]);
    for (const reader of readers) expect((await reader.first("readState")).deletedIds).toEqual([messageId]);
  });

  test("notifies services, without totals", async () => {
    const reader = await node.live(serviceOf("services"));
    const { messageId } = await node.publish("services", toTenant, { kind: Kind.ACTIVITY });
    await node.core.recaller.recall("services", [messageId]);
    const { deletedIds, unread } = await reader.first("readState");
    expect(deletedIds).toEqual([messageId]);
    expect(unread).toBeUndefined();
  });

  test("leaves the positions of other messages as they are", async () => {
    const ids = await node.publishMany("positions", toUser("ann"), 5);
    await node.core.recaller.recall("positions", [ids[1] as string, ids[4] as string]);
    const reader = node.subscribe(userOf("positions"), { positions: [{ feed: "user", seq: "0" }] });
    const { positions } = await reader.first("caughtUp");
    expect(reader.messages.map(({ position }) => position?.seq)).toEqual(["1", "3", "4"]);
    expect(positions.find(({ feed }) => feed === "user")?.seq).toBe("5");
    const [next] = await node.publishMany("positions", toUser("ann"), 1);
    await reader.until(({ messages }) => messages.length === 4);
    expect(reader.messages[3]).toMatchObject({ id: next, position: { seq: "6" } });
  });
});
