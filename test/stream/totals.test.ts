import { describe, expect, test } from "vitest";
import { fail } from "../../src/errors.ts";
import { type TestCore, toRoom, userOf, withTestCore } from "../support/core.ts";

const ann = userOf("acme");
const bob = userOf("acme", "bob");
const room = "dm/ann/bob";

describe("When a room comes into the inbox of a user with an open stream", () => {
  test("a message that is stored while the room is counted is in the next totals", async () => {
    let during: (() => Promise<unknown>) | undefined;
    await withTestCore(
      async (node) => {
        const reader = await node.live(ann);
        during = () => node.publish("acme", toRoom(room));
        await node.say(bob, room);
        await node.settle();
        expect(during).toBeUndefined();
        expect(reader.badge.total).toBe(2);
      },
      {
        async around(method, call) {
          const answer = await call();
          // The count of the room is made, and its stream does not have it yet.
          const meanwhile = method === "countNotifications" ? during : undefined;
          if (meanwhile) during = undefined;
          await meanwhile?.();
          return answer;
        },
      },
    );
  });

  test("a count that fails leaves the room alone, and the next one counts it without reading its history", async () => {
    let away = false;
    await withTestCore(
      async (node) => {
        const reader = await node.live(ann);
        const { size } = node.core.context.hub;
        away = true;
        await node.say(bob, room);
        await node.pass(5_000);
        await node.say(bob, room);
        await node.say(bob, room);
        await node.pass(5_000);
        expect(feedsOf(node)).toBe(size);
        expect(reader.all("readState")).toEqual([]);
        expect(node.called("read")).toBe(0);
        away = false;
        await node.pass(5_000);
        expect(reader.badge.total).toBe((await node.unread(ann)).unread.total);
        expect(feedsOf(node)).toBe(size + 1);
        expect(reader.error).toBeUndefined();
      },
      {
        async around(method, call) {
          if (away && method === "countNotifications") throw fail("STORE_UNAVAILABLE", "cut off");
          return call();
        },
      },
    );
  });
});

/** The number of feeds that streams of a node follow. */
function feedsOf(node: TestCore): number {
  return node.core.context.hub.size;
}
