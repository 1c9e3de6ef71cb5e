import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { pino } from "pino";
import { afterEach, describe, expect, test } from "vitest";
import { Retention } from "../../src/core/retention.ts";
import type { FeedLog } from "../../src/ports/store.ts";
import { quarantineMs, SteadyClock } from "../../src/util/steady-clock.ts";
import { FakeClock, tick } from "../support/clock.ts";
import { startTestCore, type TestCore, toTenant, toUser, userOf } from "../support/core.ts";

const day = 86_400_000;
const steady = (clock: FakeClock) => new SteadyClock(clock, { jumped: () => {}, believed: () => {} });
const ann = userOf("acme");

describe("Retention", () => {
  let node: TestCore;
  afterEach(() => node.close());

  test("deletes messages that are older than its days", async () => {
    node = await startTestCore({ retention: { days: 30 } });
    await node.publish("acme", toUser("ann"), { title: "old" });
    await node.sleep(20 * day);
    await node.publish("acme", toUser("ann"), { title: "new" });
    await node.sleep(10 * day + 60_000);
    expect((await node.messages(ann)).messages.map(({ title }) => title)).toEqual(["new"]);
    expect((await node.unread(ann)).unread.total).toBe(1);
  });

  test("deletes expired messages from the store", async () => {
    node = await startTestCore();
    await node.publish("acme", toUser("ann"), { ttl: durationFromMs(1000) });
    await node.pass(quarantineMs + 60_000);
    expect(await node.store.trim(0, node.clock.now())).toBe(0);
  });

  test("keeps the newest messages of a feed up to its count, and a resuming stream gets a gap", async () => {
    node = await startTestCore({ retention: { count: 5 } });
    await node.publishMany("acme", toTenant, 12);
    const reader = node.subscribe(ann, { positions: [{ feed: "tenant", seq: "3" }] });
    await reader.first("caughtUp");
    expect(reader.all("gap")).toMatchObject([{ after: { feed: "tenant", seq: "3" }, to: { seq: "7" } }]);
    // A client that disconnects between Hello and the gap gets the gap when it returns.
    expect((await reader.first("hello")).positions).toContainEqual(
      expect.objectContaining({ feed: "tenant", seq: "3" }),
    );
    expect(reader.messages.map(({ position }) => position?.seq)).toEqual(["8", "9", "10", "11", "12"]);
    expect(reader.badge.total).toBe(5);
    expect((await node.unread(ann)).unread.total).toBe(5);
  });
});

describe("A message that retention deletes", () => {
  let node: TestCore;
  afterEach(() => node.close());

  test("leaves the badge of an open page when newer messages displace it", async () => {
    node = await startTestCore({ retention: { count: 5 } });
    const reader = await node.live(ann);
    await node.publishMany("acme", toUser("ann"), 10);
    await node.settle();
    expect(reader.badge.total).toBe(5);
    expect((await node.unread(ann)).unread.total).toBe(5);
  });

  test("leaves the badge of an open page even if the message that displaces it has expired already", async () => {
    const clock = new FakeClock();
    node = await startTestCore({
      clock,
      retention: { count: 5 },
      async around(method, call) {
        const answer = await call();
        if (method === "append") clock.set(clock.now() + 1000);
        return answer;
      },
    });
    const reader = await node.live(ann);
    await node.publishMany("acme", toUser("ann"), 5);
    await reader.until(({ badge }) => badge.total === 5);
    await node.publish("acme", toUser("ann"), { ttl: durationFromMs(500) });
    await node.settle();
    expect((await node.unread(ann)).unread.total).toBe(4);
    expect(reader.badge.total).toBe(4);
  });

  test("causes no recount if it was read", async () => {
    node = await startTestCore({ retention: { count: 5 } });
    const reader = await node.live(ann);
    await node.publishMany("acme", toUser("ann"), 5);
    await node.mark(ann, { target: { case: "all", value: true } });
    await node.settle();
    const before = reader.all("readState").length;
    await node.publishMany("acme", toUser("ann"), 3);
    await node.settle();
    expect(reader.all("readState").length).toBe(before);
    expect(reader.badge.total).toBe(3);
  });

  test("leaves lists and badges when it is too old, before any round", async () => {
    node = await startTestCore({ retention: { days: 1 } });
    const reader = await node.live(ann);
    await node.publish("acme", toUser("ann"));
    await node.sleep(day - 1);
    expect((await node.unread(ann)).unread.total).toBe(1);
    await node.sleep(1);
    await node.settle();
    expect((await node.unread(ann)).unread.total).toBe(0);
    expect((await node.messages(ann)).messages).toEqual([]);
    expect(reader.badge.total).toBe(0);
  });

  test("shows no expire_time that the publisher did not set", async () => {
    node = await startTestCore({ retention: { days: 1 } });
    await node.publish("acme", toUser("ann"));
    expect((await node.messages(ann)).messages[0]?.expireTime).toBeUndefined();
  });
});

describe("The rounds of retention", () => {
  const quiet: Pick<FeedLog, "append" | "bounds" | "read" | "recall"> = {
    append: async () => [],
    bounds: async () => [],
    read: async () => ({ bounds: { epoch: 1, seq: 0, tail: 1 }, entries: [], through: 0 }),
    recall: async () => [],
  };

  test("run once a minute, each until nothing is left", async () => {
    const clock = new FakeClock(100 * day);
    const asked: [number, number][] = [];
    let left = 3;
    const trim = async (before: number, now: number) => {
      asked.push([before, now]);
      return left > 0 ? left-- : 0;
    };
    const retention = new Retention({ ...quiet, trim }, steady(clock), 10, undefined);
    await clock.advance(quarantineMs - 1);
    expect(asked).toEqual([]);
    await clock.advance(1);
    expect(asked).toHaveLength(4);
    expect(asked[0]).toEqual([90 * day + quarantineMs, 100 * day + quarantineMs]);
    await clock.advance(60_000);
    expect(asked).toHaveLength(5);
    retention.close();
    expect(clock.pending).toBe(0);
  });

  test("go on after the store fails, and log the failure", async () => {
    const clock = new FakeClock();
    const lines: string[] = [];
    const logger = pino({}, { write: (line: string) => void lines.push(line) });
    let calls = 0;
    const trim = async () => {
      calls++;
      throw new Error("no disk");
    };
    const retention = new Retention({ ...quiet, trim }, steady(clock), 10, logger);
    await clock.advance(quarantineMs + 120_000);
    expect(calls).toBe(3);
    expect(lines).toHaveLength(3);
    expect(lines[0]).toContain("no disk");
    retention.close();
  });

  test("end with the node, even in the middle of one", async () => {
    const clock = new FakeClock();
    let answer = (_count: number) => {};
    let calls = 0;
    const trim = () => {
      calls++;
      return new Promise<number>((resolve) => (answer = resolve));
    };
    const retention = new Retention({ ...quiet, trim }, steady(clock), 10, undefined);
    await clock.advance(quarantineMs);
    retention.close();
    answer(100);
    await tick();
    expect([calls, clock.pending]).toEqual([1, 0]);
  });
});

describe("While the clock is 400 days ahead for a minute,", () => {
  let node: TestCore;
  afterEach(() => node.close());

  /** Runs a node for a quarantine, so that retention is at work, and sets its clock ahead. */
  async function startAhead(): Promise<void> {
    node = await startTestCore();
    await node.pass(quarantineMs + 60_000);
  }

  async function wait(): Promise<void> {
    node.clock.jump(400 * day);
    await node.pass(120_000);
    expect((await node.messages(ann)).messages).toEqual([]);
    node.clock.jump(-400 * day);
    await node.pass(120_000);
  }

  test("retention deletes no message", async () => {
    await startAhead();
    await node.publish("acme", toUser("ann"), { title: "kept" });
    await node.publish("acme", toTenant, { title: "kept for all", ttl: durationFromMs(day) });
    await wait();
    expect((await node.messages(ann)).messages.map(({ title }) => title).sort()).toEqual(["kept", "kept for all"]);
    expect((await node.unread(ann)).unread.total).toBe(2);
  });

  test("a request id is not free again", async () => {
    await startAhead();
    const publish = () => node.publish("acme", toUser("ann"), { title: "once" }, { requestId: "r1" });
    const { messageId } = await publish();
    node.clock.jump(400 * day);
    expect((await publish()).messageId).toBe(messageId);
    node.clock.jump(-400 * day);
    expect((await publish()).messageId).toBe(messageId);
    expect((await node.messages(ann)).messages).toHaveLength(1);
  });

  test("the broadcasts of a user who comes for the first time stay unread", async () => {
    await startAhead();
    await node.publish("acme", toTenant, { title: "news" });
    node.clock.jump(400 * day);
    await node.live(userOf("acme", "new"));
    node.clock.jump(-400 * day);
    expect((await node.unread(userOf("acme", "new"))).unread.total).toBe(1);
  });

  test("a block does not end", async () => {
    await startAhead();
    const { blockList } = node.core.context;
    const notice = { type: "disconnect", tenant: "acme", user: "ann", tokenId: "", reason: "spam" } as const;
    await blockList.set(notice, node.clock.now() + day);
    node.clock.jump(400 * day);
    await expect(blockList.check(ann)).rejects.toThrow("spam");
    // The block of a token would drop blocks that have ended.
    await blockList.set({ ...notice, tokenId: "token-1" }, node.clock.now() + day);
    node.clock.jump(-400 * day);
    await expect(blockList.check(ann)).rejects.toThrow("spam");
  });

  test("a recall of a batch finds its messages", async () => {
    await startAhead();
    await node.publish("acme", toUser("ann"), { title: "wrong", batchId: "b1" });
    node.clock.jump(400 * day);
    expect(await node.core.recaller.recallBatch("acme", "b1")).toBe(1);
    node.clock.jump(-400 * day);
    expect((await node.messages(ann)).messages).toEqual([]);
  });

  test("nothing is deleted by a node that starts meanwhile", async () => {
    await startAhead();
    await node.publish("acme", toUser("ann"), { title: "kept" });
    node.clock.jump(400 * day);
    const second = await startTestCore({ store: node.store, clock: node.clock });
    await second.pass(120_000);
    node.clock.jump(-400 * day);
    expect((await node.messages(ann)).messages).toHaveLength(1);
  });
});

test("A time that has lasted for ten minutes is believed, and deletion by age goes on", async () => {
  const node = await startTestCore();
  try {
    await node.pass(quarantineMs + 60_000);
    await node.publish("acme", toUser("ann"));
    node.clock.jump(400 * day);
    await node.pass(quarantineMs + 120_000);
    expect(await node.store.trim(0, node.clock.now())).toBe(0);
    node.clock.jump(-400 * day);
    expect((await node.messages(ann)).messages).toEqual([]);
  } finally {
    await node.close();
  }
});
