import { ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { mintToken } from "../../src/auth/mint-token.ts";
import { Admission } from "../../src/core/admission.ts";
import { reasonOf, retryAfterOf } from "../../src/errors.ts";
import { FakeClock, seededRandom, tick } from "../support/clock.ts";
import { startTestCore, userOf } from "../support/core.ts";
import type { Around } from "../support/store-tap.ts";
import { secret } from "../support/token.ts";

function build(perSecond: number, burst: number, perTenant = Number.POSITIVE_INFINITY) {
  const clock = new FakeClock();
  const streams = { beginning: 0, of: new Map<string, number>() };
  const parts = {
    clock,
    random: seededRandom(),
    beginning: (tenant?: string) => (tenant === undefined ? streams.beginning : (streams.of.get(tenant) ?? 0)),
  };
  const admission = new Admission({ perSecond, burst, perTenant }, parts);
  /** Returns 0 if the stream was admitted, else the delay until it may retry, in ms. */
  const askFor = (tenant?: string): number => {
    try {
      admission.admit(tenant)();
      return 0;
    } catch (error) {
      expect(reasonOf(error as ConnectError)).toBe("TOO_MANY_NEW_STREAMS");
      return retryAfterOf(error as ConnectError) ?? Number.NaN;
    }
  };
  return { clock, streams, ask: () => askFor(), askFor };
}

describe("Admission", () => {
  test("admits a burst at once, and then the rate per second", () => {
    const { clock, ask } = build(10, 5);
    expect([1, 2, 3, 4, 5].map(ask)).toEqual([0, 0, 0, 0, 0]);
    expect(ask()).toBeGreaterThan(0);
    clock.set(clock.now() + 100);
    expect(ask()).toBe(0);
    expect(ask()).toBeGreaterThan(0);
  });

  test("saves no more than a burst over a quiet time", () => {
    const { clock, ask } = build(10, 5);
    clock.set(clock.now() + 3_600_000);
    const taken = Array.from({ length: 100 }, ask).filter((delay) => delay === 0);
    expect(taken).toHaveLength(5);
  });

  test("neither gains nor loses tokens when the clock is set", () => {
    const { clock, ask } = build(10, 1);
    expect(ask()).toBe(0);
    clock.jump(-3_600_000);
    expect(ask()).toBeGreaterThan(0);
    clock.jump(7_200_000);
    expect(ask()).toBeGreaterThan(0);
    clock.set(clock.now() + 200);
    expect(ask()).toBe(0);
  });

  test("has no more than a burst of streams without a Hello, however slow the node is", () => {
    const { clock, streams, ask } = build(100, 5);
    streams.beginning = 5;
    const delays = Array.from({ length: 100 }, ask);
    expect(Math.min(...delays)).toBeGreaterThan(0);
    // Each has a retry slot of its own.
    expect(Math.max(...delays)).toBeGreaterThan(1_000);
    clock.set(clock.now() + 1_000);
    expect(ask()).toBeGreaterThan(0);
    streams.beginning = 4;
    expect(ask()).toBe(0);
  });

  test("has no more than half a second's rate of one tenant's streams without a Hello, and still admits other tenants", () => {
    const { streams, askFor } = build(100, 50, 10);
    Object.assign(streams, { beginning: 5, of: new Map([["slow", 5]]) });
    expect(askFor("slow")).toBeGreaterThan(0);
    expect(askFor("other")).toBe(0);
  });

  test("gives each refused caller a retry slot of its own, one after the other, within 30 s", () => {
    const { ask } = build(100, 1);
    ask();
    const delays = Array.from({ length: 10_000 }, ask);
    // The first 100 slots are the first second.
    expect(Math.max(...delays.slice(0, 100))).toBeLessThanOrEqual(2_000);
    expect(Math.min(...delays.slice(100))).toBeGreaterThanOrEqual(1_000);
    expect(Math.max(...delays)).toBeLessThanOrEqual(30_000);
    // The queue is full after 2,900 slots: later callers share its second half.
    const late = delays.slice(3_000);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(15_000);
    const thirds = [0, 1, 2].map(
      (third) => late.filter((delay) => Math.floor((delay - 15_000) / 5_000) === third).length,
    );
    for (const count of thirds) expect(count).toBeGreaterThan(late.length / 4);
  });

  test("limits one tenant to its share, and leaves the other tenants theirs", () => {
    const { clock, askFor } = build(100, 50, 10);
    const loop = Array.from({ length: 1000 }, () => askFor("noisy"));
    expect(loop.filter((delay) => delay === 0)).toHaveLength(5);
    // Other tenants do not wait behind the refused callers.
    for (const tenant of ["a", "b", undefined]) expect(askFor(tenant)).toBe(0);
    clock.set(clock.now() + 100);
    expect(askFor("noisy")).toBe(0);
    expect(askFor("noisy")).toBeGreaterThan(0);
    // The node's own limit applies to all together, and a tenant that it refuses keeps its tokens.
    while (askFor() === 0);
    expect(askFor("a")).toBeGreaterThan(0);
    clock.set(clock.now() + 50);
    expect(Array.from({ length: 6 }, () => askFor("a")).filter((delay) => delay === 0)).toHaveLength(5);
  });

  test("forgets the oldest of too many tenants, which only gives it a full bucket again", () => {
    const { askFor } = build(1_000_000, 1_000_000, 2);
    expect([askFor("first"), askFor("first") > 0]).toEqual([0, true]);
    for (let index = 0; index < 10_000; index++) askFor(`t${index}`);
    expect(askFor("first")).toBe(0);
  });

  test("admits a crowd that retries as told as fast as the rate allows, most of it at the second attempt", () => {
    const { clock, ask } = build(500, 250);
    const start = clock.now();
    let crowd = Array.from({ length: 10_000 }, () => ({ at: start, tries: 0 }));
    const taken: { at: number; tries: number }[] = [];
    while (crowd.length > 0) {
      crowd.sort((a, b) => a.at - b.at);
      crowd = crowd.flatMap(({ at, tries }) => {
        clock.set(Math.max(at, clock.now()));
        const delay = ask();
        if (delay > 0) return [{ at: clock.now() + delay, tries: tries + 1 }];
        taken.push({ at: clock.now() - start, tries: tries + 1 });
        return [];
      });
    }
    const seconds = Array.from(
      { length: 60 },
      (_, second) => taken.filter(({ at }) => Math.floor(at / 1000) === second).length,
    );
    expect(Math.max(...seconds)).toBeLessThanOrEqual(750);
    expect(Math.max(...taken.map(({ at }) => at))).toBeLessThan(30_000);
    expect(taken.reduce((sum, { tries }) => sum + tries, 0)).toBeLessThan(3 * taken.length);
  });
});

test("Streams that wait for the store count towards the burst until their Hello, or until they are closed", async () => {
  const held = { countNotifications: Promise.withResolvers<void>(), readState: Promise.withResolvers<void>() };
  const around: Around = async (method, call) => {
    if (method === "countNotifications" || method === "readState") await held[method].promise;
    return call();
  };
  const node = await startTestCore({ admission: { perSecond: 1_000, burst: 2 }, around });
  try {
    const exp = Math.floor(node.clock.now() / 1000) + 600;
    const jwt = await mintToken(secret, { sub: "cid", tenant: "acme", role: "user", exp });
    const enter = () => {
      // The bucket is full again.
      node.clock.set(node.clock.now() + 2);
      return node.core.admit(jwt).then(
        ({ subject }) => subject,
        (error) => reasonOf(ConnectError.from(error)),
      );
    };
    // Two callers are being checked against the block list.
    const checked = [enter(), enter()];
    while (node.called("readState") < 2) await tick();
    expect(await enter()).toBe("TOO_MANY_NEW_STREAMS");
    held.readState.resolve();
    expect(await Promise.all(checked)).toEqual(["cid", "cid"]);
    const [ann, bob] = ["ann", "bob"].map((user) => node.subscribe(userOf("acme", user)));
    expect(await enter()).toBe("TOO_MANY_NEW_STREAMS");
    ann?.subscription.close();
    expect(await enter()).toBe("cid");
    node.subscribe(userOf("acme", "dan"));
    expect(await enter()).toBe("TOO_MANY_NEW_STREAMS");
    held.countNotifications.resolve();
    await bob?.first("hello");
    expect(await enter()).toBe("cid");
  } finally {
    await node.close();
  }
});

test("A refused caller costs the store nothing, and a bad token does not use up the rate limit", async () => {
  const node = await startTestCore({ admission: { perSecond: 1, burst: 2 } });
  try {
    const exp = Math.floor(node.clock.now() / 1000) + 600;
    const token = (sub: string) => mintToken(secret, { sub, tenant: "acme", role: "user", exp });
    const enter = async (jwt: string) => {
      try {
        return (await node.core.admit(jwt)).subject;
      } catch (error) {
        return reasonOf(ConnectError.from(error));
      }
    };
    for (let index = 0; index < 10; index++) expect(await enter("no.jwt.atall")).toBe("TOKEN_INVALID");
    expect(await enter(await token("ann"))).toBe("ann");
    expect(await enter(await token("bob"))).toBe("bob");
    const before = [...node.calls];
    expect(before).not.toEqual([]);
    for (const name of ["cid", "dan", "eve"]) expect(await enter(await token(name))).toBe("TOO_MANY_NEW_STREAMS");
    expect([...node.calls]).toEqual(before);
    // The limit is for streams, not for calls.
    expect((await node.core.authenticate(await token("cid"))).subject).toBe("cid");
  } finally {
    await node.close();
  }
});
