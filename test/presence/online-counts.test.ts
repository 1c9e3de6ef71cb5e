import { afterEach, describe, expect, test } from "vitest";
import { MemoryPresence } from "../../src/adapters/memory/presence.ts";
import type { OnlineTotals } from "../../src/ports/presence.ts";
import { OnlineCounts } from "../../src/presence/online-counts.ts";
import { FakeClock, turn } from "../support/clock.ts";

function build(presence = new MemoryPresence()) {
  const clock = new FakeClock(0);
  const online = new OnlineCounts(presence, clock);
  const enter = (id: string, tenant = "acme") => presence.enter({ id, tenant, user: `user of ${id}` });
  const leave = (id: string, tenant = "acme") => presence.leave({ id, tenant, user: `user of ${id}` });
  return { clock, online, presence, enter, leave };
}

/** What a watcher hears: when, and how many streams. */
function watch(online: OnlineCounts, clock: FakeClock, tenant = "acme") {
  const heard: [time: number, connections: number][] = [];
  const stop = online.watch(tenant, ({ connections }) => heard.push([clock.now(), connections]));
  return { heard, stop };
}

describe("OnlineCounts", () => {
  let opened: OnlineCounts | undefined;
  afterEach(() => opened?.close());

  test("tell a change at once", async () => {
    const { clock, online, enter } = build();
    opened = online;
    const { heard } = watch(online, clock);
    await enter("1");
    await turn();
    expect(heard).toEqual([[0, 1]]);
  });

  test("tell at most once a second, and the last count is the right one", async () => {
    const { clock, online, enter, leave } = build();
    opened = online;
    const { heard } = watch(online, clock);
    for (let index = 0; index < 200; index++) {
      if (index % 3 === 2) await leave(String(index - 1));
      else await enter(String(index));
      await clock.advance(50);
    }
    await clock.advance(2000);
    expect(heard.length).toBeLessThanOrEqual(12);
    expect(heard.length).toBeGreaterThanOrEqual(10);
    for (let index = 1; index < heard.length; index++) {
      expect((heard[index]?.[0] ?? 0) - (heard[index - 1]?.[0] ?? 0)).toBeGreaterThanOrEqual(1000);
    }
    expect(heard.at(-1)?.[1]).toBe(68);
  });

  test("are silent when nothing changes", async () => {
    const { clock, online, enter } = build();
    opened = online;
    const { heard } = watch(online, clock);
    await enter("1");
    await enter("1");
    await clock.advance(10_000);
    expect(heard).toEqual([[0, 1]]);
    expect(clock.pending).toBe(0);
  });

  test("of one tenant are not told to another", async () => {
    const { clock, online, enter } = build();
    opened = online;
    const [acme, globex] = [watch(online, clock), watch(online, clock, "globex")];
    await enter("1", "globex");
    await clock.advance(1000);
    expect([acme.heard.length, globex.heard.length]).toEqual([0, 1]);
  });

  test("are not told to who has stopped watching, and leave no timer", async () => {
    const { clock, online, enter } = build();
    opened = online;
    const [goes, stays] = [watch(online, clock), watch(online, clock)];
    await enter("1");
    await turn();
    goes.stop();
    goes.stop();
    await enter("2");
    await clock.advance(1000);
    expect([goes.heard.length, stays.heard.length]).toEqual([1, 2]);
    await enter("3");
    stays.stop();
    expect(clock.pending).toBe(0);
  });

  test("are told once presence answers again", async () => {
    let broken = true;
    class Flaky extends MemoryPresence {
      override async count(tenant: string | undefined): Promise<OnlineTotals> {
        if (broken) throw new Error("no answer");
        return super.count(tenant);
      }
    }
    const { clock, online, enter } = build(new Flaky());
    opened = online;
    const { heard } = watch(online, clock);
    await enter("1");
    await turn();
    expect(heard).toEqual([]);
    broken = false;
    await clock.advance(1000);
    expect(heard).toEqual([[1000, 1]]);
  });

  test("are told to nobody after closing", async () => {
    const { clock, online, enter } = build();
    const { heard } = watch(online, clock);
    await enter("1");
    await turn();
    await enter("2");
    online.close();
    await enter("3");
    await clock.advance(5000);
    expect(heard).toEqual([[0, 1]]);
    expect(clock.pending).toBe(0);
  });
});
