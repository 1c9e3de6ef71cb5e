import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Logger, pino } from "pino";
import { afterEach, describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import { StoreClock } from "../../src/core/store-clock.ts";
import type { Store } from "../../src/ports/store.ts";
import { FakeClock, seededRandom, tick } from "../support/clock.ts";
import { startTestCore, type TestCore, toUser, userOf } from "../support/core.ts";

const minute = 60_000;

describe("StoreClock", () => {
  let clock: StoreClock | undefined;
  afterEach(() => clock?.close());

  /** A store whose clock is `aheadMs` ahead, and whose answers take `rttMs`; its clock stays when the machine's is set. */
  async function start({ aheadMs = 0, rttMs = 0, failures = 0 } = {}) {
    const local = new FakeClock();
    const state = { aheadMs, rttMs, failures, calls: 0 };
    const travel = () => new Promise<void>((resolve) => local.after(state.rttMs / 2, resolve));
    const now = () => {
      state.calls++;
      if (state.failures-- <= 0) return answer();
      // A store of somebody else's may fail either way.
      if (state.failures % 2 === 0) throw new Error("no answer");
      return Promise.reject(new Error("no answer"));
    };
    const answer = async () => {
      if (state.rttMs > 0) await travel();
      const time = local.elapsed() + state.aheadMs;
      if (state.rttMs > 0) await travel();
      return time;
    };
    const log: { level: number; msg: string; seconds?: number }[] = [];
    const logger: Logger = pino({}, { write: (line: string) => void log.push(JSON.parse(line)) });
    const starting = StoreClock.start(local, { now } as Partial<Store> as Store, logger);
    const isStarted = { value: false };
    void starting.then(() => (isStarted.value = true));
    await tick();
    for (let waits = 0; waits < 100 && !isStarted.value; waits++) await local.advance(200);
    clock = await starting;
    return { local, clock, state, log, ahead: () => (clock as StoreClock).now() - local.elapsed() };
  }

  test("goes by the store's clock, and knows the time of the answer to half a round trip", async () => {
    const { ahead, clock } = await start({ aheadMs: 20 * minute, rttMs: 300 });
    expect(ahead()).toBe(20 * minute);
    expect(clock.skewMs).toBe(-20 * minute);
  });

  test("does not change when the machine's clock is set", async () => {
    const { local, clock, ahead } = await start();
    const before = clock.now();
    local.jump(400 * 24 * 60 * minute);
    expect(clock.now()).toBe(before);
    await local.advance(minute);
    expect(clock.now()).toBe(before + minute);
    expect(ahead()).toBe(0);
  });

  test("follows the store's clock within ten seconds, and ignores differences that the measurement explains", async () => {
    const { local, state, ahead } = await start({ rttMs: 20 });
    state.aheadMs = 40;
    await local.advance(11_000);
    expect(ahead()).toBe(0);
    state.aheadMs = 5000;
    await local.advance(11_000);
    expect(ahead()).toBe(5000);
  });

  test("warns once of a machine whose clock is more than five seconds off, and tells when it agrees again", async () => {
    const { local, log } = await start();
    expect(log).toEqual([]);
    local.jump(6000);
    await local.advance(30_000);
    local.jump(-7000);
    await local.advance(10_000);
    expect(log).toMatchObject([
      { level: 40, seconds: 6, msg: expect.stringContaining("6 s ahead of the store's") },
      { level: 30 },
    ]);
    local.jump(-10_000);
    await local.advance(10_000);
    expect(log[2]).toMatchObject({ level: 40, seconds: -11, msg: expect.stringContaining("11 s behind") });
  });

  test("keeps its time while the store does not answer, or answers slowly", async () => {
    const { local, state, ahead } = await start({ aheadMs: minute });
    Object.assign(state, { aheadMs: 2 * minute, failures: 3 });
    await local.advance(30_000);
    expect(ahead()).toBe(minute);
    state.rttMs = 2002;
    await local.advance(10_000);
    expect(ahead()).toBe(minute);
    state.rttMs = 0;
    await local.advance(13_000);
    expect(ahead()).toBe(2 * minute);
  });

  test("starts by the machine's clock when the store's cannot be read for some seconds, and goes on trying", async () => {
    const { local, log, state, ahead } = await start({ aheadMs: minute, failures: 25 });
    expect(log).toMatchObject([{ level: 40, msg: expect.stringContaining("cannot be read") }]);
    expect(ahead()).toBe(0);
    await local.advance(1200);
    expect(ahead()).toBe(minute);
    expect(state.calls).toBe(26);
  });

  test("measures nothing more once it is closed", async () => {
    const { local, clock } = await start();
    clock.close();
    await tick();
    expect(local.pending).toBe(0);
  });
});

describe("Two nodes on one store whose clocks are 20 minutes apart", () => {
  const nodes: TestCore[] = [];
  afterEach(async () => {
    for (const node of nodes.splice(0)) await node.close();
  });

  async function start(): Promise<[TestCore, TestCore]> {
    const right = new FakeClock();
    const ahead = new FakeClock(right.now() + 20 * minute);
    const sqlite = new SqliteStore({ folder: ":memory:", keep: 1000 });
    const store = Object.assign(sqlite, { now: async () => right.now() });
    for (const [seed, clock] of [right, ahead].entries()) {
      nodes.push(await startTestCore({ store, clock, random: seededRandom(seed) }));
    }
    return nodes as [TestCore, TestCore];
  }

  test("accept one request id of a live event once", async () => {
    const [one, other] = await start();
    const publish = (node: TestCore) =>
      node.publish("acme", toUser("ann"), { kind: Kind.EVENT, title: "typing" }, { requestId: "r1" });
    const { messageId } = await publish(one);
    expect((await publish(other)).messageId).toBe(messageId);
    expect((await publish(one)).messageId).toBe(messageId);
  });

  test("agree on when a message expires, and on its publish time", async () => {
    const [one, other] = await start();
    await other.publish("acme", toUser("ann"), { title: "short", ttl: durationFromMs(10 * minute) });
    await one.publish("acme", toUser("ann"), { title: "short", ttl: durationFromMs(10 * minute) });
    for (const node of [one, other]) expect((await node.unread(userOf("acme"))).unread.total).toBe(2);
    for (const node of [one, other]) {
      const { messages } = await node.messages(userOf("acme"));
      expect(new Set(messages.map(({ publishTime }) => publishTime?.seconds)).size).toBe(1);
    }
    for (const node of [one, other]) await node.pass(10 * minute);
    for (const node of [one, other]) expect((await node.unread(userOf("acme"))).unread.total).toBe(0);
  });

  test("end a stream when its token expires by the clock of the machine that checks it", async () => {
    const [one, other] = await start();
    const stream = await other.live(userOf("acme", "ann", other.clock.now() + minute));
    const passBoth = async (seconds: number) => {
      // In small steps, or the store's clock would run ahead of the node that measures it.
      for (let passed = 0; passed < seconds; passed++) for (const node of [one, other]) await node.clock.advance(1000);
    };
    await passBoth(57);
    expect(stream.error).toBeUndefined();
    await passBoth(5);
    expect(await stream.end()).toBe("TOKEN_EXPIRED");
  });
});
