import { durationFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
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

  test("are not counted again when one of them is marked, and that one is counted once for all streams", async () => {
    const readers = await Promise.all(Array.from({ length: 20 }, () => node.live(ann)));
    for (const expected of [999, 998, 997]) {
      const seqs = await countedBy(async () => {
        await node.mark(ann, { target: { case: "oldest", value: 1 } });
        for (const reader of readers) await reader.until(({ badge }) => badge.total === expected);
      });
      expect(seqs).toBe(1);
    }
  });

  test("are not counted again when some are marked as unread again, or deleted", async () => {
    const { messages } = await node.unread(ann, { pageSize: 100 });
    const ids = messages.map(({ id }) => id);
    const seqs = await countedBy(async () => {
      expect((await node.markIds(ann, ids)).unread.total).toBe(900);
      expect((await node.markIds(ann, ids.slice(0, 30), { unread: true })).unread.total).toBe(930);
      const target = { ids: { messageIds: ids.slice(0, 20) } };
      expect((await node.delete(ann, target)).unread.total).toBe(910);
    });
    expect(seqs).toBe(150);
  });

  test("are counted anew when most of them are marked at once", async () => {
    await node.publishMany("acme", toUser("ann"), 3_000);
    await total();
    // MarkRead counts what it marks.
    expect(await countedBy(() => node.markAll(ann))).toBe(4_000);
    expect(await total()).toBe(0);
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
    const categoryOf = (index: number) => `c${index % 50}`;
    for (const [index, room] of rooms.entries()) {
      await node.publish("acme", { case: "roomId", value: room }, { category: categoryOf(index) });
    }
    const calls: number[] = [];
    const count = node.store.countNotifications.bind(node.store);
    node.store.countNotifications = (feeds, now) => {
      calls.push(feeds.length);
      return count(feeds, now);
    };
    const inRooms = { ...ann, rooms };
    const { unread } = await node.unread(inRooms);
    expect(unread.total).toBe(1100);
    expect(unread.byCategory).toEqual({
      "": 1000,
      ...Object.fromEntries(Array.from({ length: 50 }, (_, index) => [categoryOf(index), 2])),
    });
    expect(Math.max(...calls)).toBe(32);
    expect((await node.markAll(inRooms)).changed).toBe(1100);
    expect((await node.unread(inRooms)).unread.total).toBe(0);
  });

  test("of 1,500 invented categories give a Hello of 100 names, those of services first, and the exact total", async () => {
    const inRoom = { ...ann, rooms: ["r"] };
    await node.publishMany("acme", { case: "roomId", value: "r" }, 1500, (index) => ({ category: `💬${index}` }));
    await node.publish("acme", toUser("ann"), { category: "system" });
    const reader = await node.live(inRoom);
    const { unread } = await reader.first("hello");
    expect(unread?.total).toBe(2501);
    expect(unread?.byCategory).toMatchObject({ "": 1000, system: 1, "💬0": 1, "(other)": 1402 });
    expect(Object.keys(unread?.byCategory ?? {})).toHaveLength(101);

    // Later messages are added to a count that names as many categories as it may.
    await node.publishMany("acme", toUser("ann"), 3, (index) => ({
      category: ["system", "late", "💬1499"][index] ?? "",
    }));
    const later = (await node.unread(inRoom)).unread;
    expect(later).toMatchObject({ total: 2504, byCategory: { system: 2, "(other)": 1404 } });
    await reader.until(({ badge }) => badge.total === 2504);
    expect(Object.fromEntries(reader.badge.byCategory)).toEqual(later.byCategory);

    await node.mark(inRoom, { target: { case: "oldest", value: 1000 } });
    await reader.until(({ badge }) => badge.total === 1504);
    const left = (await node.unread(inRoom)).unread.byCategory;
    expect(left).toMatchObject({ system: 2, late: 1, "💬1499": 2, "(other)": 1402 });
    expect(Object.keys(left)).toHaveLength(101);
    expect(Object.fromEntries(reader.badge.byCategory)).toEqual(left);
    expect((await node.markAll(inRoom)).changed).toBe(1504);
    expect((await node.unread(inRoom)).unread).toMatchObject({ total: 0, byCategory: {} });
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

/** One thing that changes what is unread. The numbers choose messages. */
const actions = fc.oneof(
  fc.record({ do: fc.constant("publish" as const), count: fc.integer({ min: 1, max: 5 }), category: fc.nat(2) }),
  fc.record({ do: fc.constant("broadcast" as const), count: fc.integer({ min: 1, max: 5 }), category: fc.nat(2) }),
  fc.record({
    do: fc.constantFrom("read" as const, "unread" as const, "delete" as const),
    picks: fc.array(fc.nat(99)),
  }),
  fc.record({ do: fc.constantFrom("all" as const, "recall" as const, "pass" as const), pick: fc.nat(99) }),
);

test("Totals agree with a count of the store after anything that changes what is unread", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(actions, { maxLength: 30 }), async (script) => {
      const ids: string[] = [];
      const tenant = `t${Math.random()}`;
      const user = userOf(tenant);
      await node.unread(user);
      const pick = (picks: readonly number[]) => picks.flatMap((index) => ids[index % ids.length] ?? []);
      for (const action of script) {
        if (action.do === "publish" || action.do === "broadcast") {
          const to = action.do === "publish" ? toUser("ann") : toTenant;
          const draft = { category: ["", "a", "b"][action.category] as string };
          ids.push(...(await node.publishMany(tenant, to, action.count, () => draft)));
        } else if (action.do === "all") await node.markAll(user);
        else if (action.do === "pass") await node.pass(3_000);
        else if (ids.length === 0) continue;
        else if (!("picks" in action)) await node.core.recaller.recall(tenant, pick([action.pick]));
        else if (action.picks.length === 0) continue;
        else if (action.do === "delete") await node.delete(user, { ids: { messageIds: pick(action.picks) } });
        else await node.markIds(user, pick(action.picks), { unread: action.do === "unread" });
        const { state, feeds } = await node.core.context.states.read(user);
        const ranges = feeds.map(({ key, name }) => ({ feed: key, ranges: state.unreadRanges(name) }));
        const { byCategory } = await node.store.countNotifications(ranges, node.clock.now());
        expect((await node.unread(user)).unread.byCategory).toEqual(Object.fromEntries(byCategory));
      }
    }),
    { numRuns: 50 },
  );
});
