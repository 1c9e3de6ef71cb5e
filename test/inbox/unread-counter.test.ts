import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import type { SeqRanges } from "../../src/ports/store.ts";
import { startTestCore, type TestCore, toTenant, toUser, userOf } from "../support/core.ts";

let node: TestCore;
/** How many seqs each count of unread messages covered. */
let counted: number[];
const ann = userOf("acme");

beforeEach(async () => {
  counted = [];
  node = await startTestCore();
  const count = node.store.countNotifications.bind(node.store);
  node.store.countNotifications = async (feeds, now) => {
    const answer = await count(feeds, now);
    const bounded = feeds.map(({ ranges }, index) => covered(ranges, answer.bounds[index]?.seq ?? 0));
    counted.push(bounded.reduce((sum, seqs) => sum + seqs, 0));
    return answer;
  };
});
afterEach(() => node.close());

function covered(ranges: SeqRanges, last: number): number {
  return ranges.reduce((sum, [from, to]) => sum + Math.max(0, Math.min(to, last) - from + 1), 0);
}

/** How many seqs were counted meanwhile. */
async function countedBy(call: () => Promise<unknown>): Promise<number> {
  counted = [];
  await call();
  return counted.reduce((sum, seqs) => sum + seqs, 0);
}

const total = async () => (await node.unread(ann, { pageSize: 1 })).unread.total;

describe("The unread messages of a user", () => {
  beforeEach(async () => {
    await node.unread(ann);
    await node.publishMany("acme", toUser("ann"), 500);
    await node.publishMany("acme", toTenant, 500);
  });

  test("are counted once for all pages of a list", async () => {
    const seqs = await countedBy(async () => {
      for (let page = 0, pageToken = ""; page < 5; page++) {
        const answer = await node.unread(ann, { pageSize: 10, pageToken });
        expect(answer.unread.total).toBe(1000);
        pageToken = answer.nextPageToken;
      }
    });
    expect(seqs).toBe(1000);
  });

  test("are counted once for 50 lists at the same time", async () => {
    const seqs = await countedBy(async () => {
      const lists = await Promise.all(Array.from({ length: 50 }, () => node.unread(ann)));
      expect(lists.map(({ unread }) => unread.total)).toEqual(Array(50).fill(1000));
    });
    expect(seqs).toBe(1000);
  });

  test("are counted once for all streams of the user when one message is marked", async () => {
    const readers = await Promise.all(Array.from({ length: 20 }, () => node.live(ann)));
    for (const expected of [999, 998, 997]) {
      const seqs = await countedBy(async () => {
        await node.mark(ann, { target: { case: "oldest", value: 1 } });
        for (const reader of readers) await reader.until(({ badge }) => badge.total === expected);
      });
      expect(seqs).toBe(expected);
    }
  });

  test("that arrive later are added to what was counted", async () => {
    await total();
    await node.publishMany("acme", toUser("ann"), 7, () => ({ category: "late" }));
    const seqs = await countedBy(async () => {
      expect((await node.unread(ann)).unread).toMatchObject({ total: 1007, byCategory: { "": 1000, late: 7 } });
    });
    expect(seqs).toBe(7);
  });

  test("are counted anew after a recall, and when one of them expires or is trimmed", async () => {
    expect(await total()).toBe(1000);
    const { messageId } = await node.publish("acme", toUser("ann"));
    expect(await total()).toBe(1001);
    await node.core.recaller.recall("acme", [messageId]);
    expect(await total()).toBe(1000);

    await node.publish("acme", toUser("ann"), { ttl: durationFromMs(1000) });
    expect(await total()).toBe(1001);
    await node.pass(1000);
    expect(await total()).toBe(1000);

    await node.store.trim(node.clock.now() + 1, node.clock.now());
    expect(await total()).toBe(1000 - 256);
  });

  test("are counted anew after ten seconds", async () => {
    await total();
    await node.pass(9_000);
    expect(await countedBy(total)).toBe(0);
    await node.pass(2_000);
    expect(await countedBy(total)).toBe(1000);
  });

  test("of 100 rooms are counted by several calls of the store, and listed by the same totals", async () => {
    const rooms = Array.from({ length: 100 }, (_, index) => `r${index}`);
    for (const room of rooms) await node.publish("acme", { case: "roomId", value: room }, { category: room });
    const calls: number[] = [];
    const count = node.store.countNotifications.bind(node.store);
    node.store.countNotifications = (feeds, now) => {
      calls.push(feeds.length);
      return count(feeds, now);
    };
    const inRooms = { ...ann, rooms };
    const { unread } = await node.unread(inRooms);
    expect(unread.total).toBe(1100);
    expect(unread.byCategory).toEqual({ "": 1000, ...Object.fromEntries(rooms.map((room) => [room, 1])) });
    expect(Math.max(...calls)).toBe(32);
    expect((await node.markAll(inRooms)).changed).toBe(1100);
    expect((await node.unread(inRooms)).unread.total).toBe(0);
  });

  test("do not include those of a room before the inbox has it", async () => {
    const entitled = { ...ann, rooms: ["**"] };
    expect(await total()).toBe(1000);
    await node.publish("acme", { case: "roomId", value: "a" }, { kind: Kind.NOTIFICATION });
    expect((await node.unread(entitled)).unread.total).toBe(1000);
    await node.core.context.states.enroll("acme", "ann", ["a"]);
    expect((await node.unread(entitled)).unread.total).toBe(1001);
    // This token does not open the room.
    expect(await total()).toBe(1000);
    expect((await node.unread(entitled)).unread.total).toBe(1001);
  });
});
