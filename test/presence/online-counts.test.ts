import { afterEach, describe, expect, test } from "vitest";
import { MemoryPresence } from "../../src/adapters/memory/presence.ts";
import type { OnlineTotals } from "../../src/ports/presence.ts";
import { OnlineCounts } from "../../src/presence/online-counts.ts";
import { FakeClock, tick } from "../support/clock.ts";

function build(presence = new MemoryPresence()) {
  const clock = new FakeClock(0);
  const online = new OnlineCounts(presence, clock);
  const enter = (id: string, tenant = "acme") => presence.enter({ id, tenant, user: `user of ${id}` });
  const leave = (id: string, tenant = "acme") => presence.leave({ id, tenant, user: `user of ${id}` });
  return { clock, online, presence, enter, leave };
}

/** Records the reports to a watcher: the time, and the number of connections. */
function watch(online: OnlineCounts, clock: FakeClock, tenant = "acme") {
  const reports: [time: number, connections: number][] = [];
  const stop = online.watch(tenant, ({ connections }) => reports.push([clock.now(), connections]));
  return { reports, stop };
}

describe("OnlineCounts", () => {
  let opened: OnlineCounts | undefined;
  afterEach(() => opened?.close());

  test("report a change at once", async () => {
    const { clock, online, enter } = build();
    opened = online;
    const { reports } = watch(online, clock);
    await enter("1");
    await tick();
    expect(reports).toEqual([[0, 1]]);
  });

  test("report at most once a second, and the current count last", async () => {
    const { clock, online, enter, leave } = build();
    opened = online;
    const { reports } = watch(online, clock);
    for (let index = 0; index < 200; index++) {
      if (index % 3 === 2) await leave(String(index - 1));
      else await enter(String(index));
      await clock.advance(50);
    }
    await clock.advance(2000);
    expect(reports.length).toBeLessThanOrEqual(12);
    expect(reports.length).toBeGreaterThanOrEqual(10);
    for (let index = 1; index < reports.length; index++) {
      expect((reports[index]?.[0] ?? 0) - (reports[index - 1]?.[0] ?? 0)).toBeGreaterThanOrEqual(1000);
    }
    expect(reports.at(-1)?.[1]).toBe(68);
  });

  test("report nothing when nothing changes", async () => {
    const { clock, online, enter } = build();
    opened = online;
    const { reports } = watch(online, clock);
    await enter("1");
    await enter("1");
    await clock.advance(10_000);
    expect(reports).toEqual([[0, 1]]);
    expect(clock.pending).toBe(0);
  });

  test("report no tenant's count to another", async () => {
    const { clock, online, enter } = build();
    opened = online;
    const [acme, globex] = [watch(online, clock), watch(online, clock, "globex")];
    await enter("1", "globex");
    await clock.advance(1000);
    expect([acme.reports.length, globex.reports.length]).toEqual([0, 1]);
  });

  test("report nothing to a watcher that has stopped, and leave no timer", async () => {
    const { clock, online, enter } = build();
    opened = online;
    const [goes, stays] = [watch(online, clock), watch(online, clock)];
    await enter("1");
    await tick();
    goes.stop();
    goes.stop();
    await enter("2");
    await clock.advance(1000);
    expect([goes.reports.length, stays.reports.length]).toEqual([1, 2]);
    await enter("3");
    stays.stop();
    expect(clock.pending).toBe(0);
  });

  test("report a change once presence answers again", async () => {
    let broken = true;
    class Flaky extends MemoryPresence {
      override async count(tenant: string | undefined): Promise<OnlineTotals> {
        if (broken) throw new Error("no answer");
        return super.count(tenant);
      }
    }
    const { clock, online, enter } = build(new Flaky());
    opened = online;
    const { reports } = watch(online, clock);
    await enter("1");
    await tick();
    expect(reports).toEqual([]);
    broken = false;
    await clock.advance(1000);
    expect(reports).toEqual([[1000, 1]]);
  });

  test("report nothing after they are closed", async () => {
    const { clock, online, enter } = build();
    const { reports } = watch(online, clock);
    await enter("1");
    await tick();
    await enter("2");
    online.close();
    await enter("3");
    await clock.advance(5000);
    expect(reports).toEqual([[0, 1]]);
    expect(clock.pending).toBe(0);
  });
});
