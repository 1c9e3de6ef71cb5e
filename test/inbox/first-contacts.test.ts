import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RoomMode } from "../../gen/tidings/v1/push_service_pb.ts";
import { fail } from "../../src/errors.ts";
import { reasonFrom, startTestCore, type TestCore, toTenant, toUser, userOf } from "../support/core.ts";
import { joins, member, roomEvents } from "../support/rooms.ts";

const dayMs = 86_400_000;
let node: TestCore;
/** Whether writes fail, as on a full disk. */
let isFull = false;
let saves = 0;

beforeEach(async () => {
  isFull = false;
  saves = 0;
  node = await startTestCore({
    async around(method, call) {
      if (method === "saveReadState") saves++;
      if (isFull && ["append", "saveReadState", "recall", "trim"].includes(method)) {
        throw fail("STORE_UNAVAILABLE", "the store did not answer; repeat the request", {
          cause: new Error("database or disk is full"),
        });
      }
      return call();
    },
  });
});
afterEach(() => node.close());

describe("A user who was never seen before, while the store cannot write", () => {
  const ann = userOf("acme");

  beforeEach(async () => {
    await node.publish("acme", toTenant, { title: "old" });
    await node.pass(8 * dayMs);
    await node.publish("acme", toTenant, { title: "new" });
    await node.publish("acme", toUser("ann"), { title: "own" });
    isFull = true;
  });

  test("opens a stream, lists, and counts as ever", async () => {
    const reader = await node.live(ann);
    expect((await reader.first("hello")).unread).toMatchObject({ total: 2, version: "0" });
    expect((await node.unread(ann)).messages.map(({ title }) => title)).toEqual(["own", "new"]);
    expect((await node.messages(ann)).messages.map(({ title, read }) => `${title} ${read}`)).toEqual([
      "own false",
      "new false",
      "old true",
    ]);
    expect(await reasonFrom(node.markAll(ann))).toBe("STORE_UNAVAILABLE");
  });

  test("is saved as first met once the store can write, without a request", async () => {
    await node.unread(ann);
    await node.pass(20_000);
    // What has grown old since is not read: it is unread for good that was unread at the first contact.
    await node.sleep(8 * dayMs);
    expect((await node.unread(ann)).unread).toMatchObject({ total: 2, version: "0" });
    isFull = false;
    await node.pass(3_000);
    expect(await node.store.readState("acme", "ann")).toMatchObject({ version: 1 });
    expect((await node.unread(ann)).unread).toMatchObject({ total: 2, version: "1" });
  });

  test("is saved by its first change, and stays as changed", async () => {
    await node.unread(ann);
    isFull = false;
    expect((await node.mark(ann, { target: { case: "oldest", value: 1 } })).changed).toBe(1);
    await node.pass(10_000);
    expect((await node.unread(ann)).unread).toMatchObject({ total: 1, version: "1" });
  });

  test("costs one attempt to save, however often it asks, and one every two seconds for all users", async () => {
    const before = saves;
    await Promise.all(["ann", "bob", "eve"].map((user) => node.unread(userOf("acme", user))));
    for (let request = 0; request < 10; request++) await node.unread(ann);
    expect(saves - before).toBe(3);
    await node.pass(10_000);
    expect(saves - before).toBeLessThanOrEqual(3 + 5);
  });

  test("sees the rooms that the token names, and a room that it cannot be added to does not end its stream", async () => {
    isFull = false;
    await node.pass(1);
    await node.publish("acme", { case: "roomId", value: "named" }, { title: "in the room" });
    isFull = true;
    const cyd = member("cyd", ["named", "**"]);
    expect((await node.unread(cyd)).messages.map(({ title }) => title)).toEqual(["in the room", "new"]);
    const reader = node.subscribe(cyd, joins(RoomMode.ANY, "other"));
    await reader.first("caughtUp");
    expect(roomEvents(reader)).toEqual(["refused other unavailable"]);
  });
});
