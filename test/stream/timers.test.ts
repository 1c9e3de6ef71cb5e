import { describe, expect, test } from "vitest";
import { Timers } from "../../src/stream/timers.ts";
import { FakeClock } from "../support/clock.ts";

/** Timers whose actions are logged with their times. */
function build({ heartbeatMs = 100, stallMs = 300, tokenExpiry = Number.POSITIVE_INFINITY } = {}) {
  const clock = new FakeClock(0);
  const log: string[] = [];
  const note = (name: string) => () => void log.push(`${name}@${clock.now()}`);
  const timers = new Timers(
    clock,
    { heartbeatMs, stallMs, tokenExpiry },
    { beat: note("beat"), messageExpired: note("message"), tokenExpired: note("token"), stalled: note("stalled") },
  );
  return { clock, log, timers };
}

describe("Timers", () => {
  test("send a heartbeat after each silence", async () => {
    const { clock, log } = build();
    await clock.advance(350);
    expect(log).toEqual(["beat@100", "beat@200", "beat@300"]);
  });

  test("go on with heartbeats, and still detect a stalled reader, when the clock is set back", async () => {
    const { clock, log, timers } = build();
    await clock.advance(150);
    clock.jump(-100_000);
    await clock.advance(300);
    expect(log).toEqual(["beat@100", "beat@-99800", "beat@-99700", "beat@-99600"]);
    timers.sending();
    clock.jump(-100_000);
    await clock.advance(1000);
    expect(log.slice(4)).toEqual(["stalled@-199250"]);
  });

  test("neither end a reader as stalled nor send a heartbeat early when the clock is set ahead", async () => {
    const { clock, log, timers } = build();
    timers.sending();
    clock.jump(400 * 86_400_000);
    timers.messageExpires(clock.now() + 50);
    await clock.advance(60);
    timers.sent();
    await clock.advance(99);
    expect(log).toEqual([`message@${400 * 86_400_000 + 50}`]);
    timers.sending();
    clock.jump(-400 * 86_400_000);
    await clock.advance(299);
    expect(log).toHaveLength(1);
  });

  test("send no heartbeat while there is traffic", async () => {
    const { clock, log, timers } = build();
    for (let index = 0; index < 20; index++) {
      await clock.advance(50);
      timers.sending();
      timers.sent();
    }
    expect(log).toEqual([]);
    await clock.advance(99);
    expect(log).toEqual([]);
    await clock.advance(1);
    expect(log).toEqual(["beat@1100"]);
  });

  test("detect a reader that takes nothing, once", async () => {
    const { clock, log, timers } = build();
    timers.sending();
    await clock.advance(299);
    expect(log).toEqual([]);
    await clock.advance(1000);
    expect(log).toEqual(["stalled@300"]);
  });

  test("do not count a reader as stalled that makes progress", async () => {
    const { clock, log, timers } = build();
    timers.sending();
    for (let index = 0; index < 5; index++) {
      await clock.advance(299);
      timers.sending();
    }
    expect(log).toEqual([]);
  });

  test("detect a stall that is shorter than the heartbeat interval", async () => {
    const { clock, log, timers } = build({ heartbeatMs: 1000, stallMs: 50 });
    await clock.advance(10);
    timers.sending();
    await clock.advance(100);
    expect(log).toEqual(["stalled@60"]);
  });

  test("send a heartbeat in time after a slow reader took everything", async () => {
    const { clock, log, timers } = build({ heartbeatMs: 100, stallMs: 10_000 });
    timers.sending();
    await clock.advance(150);
    timers.sent();
    await clock.advance(100);
    expect(log).toEqual(["beat@250"]);
  });

  test("report the expiry of the latest token", async () => {
    const { clock, log, timers } = build({ heartbeatMs: 10_000, tokenExpiry: 500 });
    await clock.advance(400);
    timers.extendToken(900);
    await clock.advance(400);
    expect(log).toEqual([]);
    await clock.advance(400);
    expect(log).toEqual(["token@900"]);
  });

  test("report the expiry of the first counted message, and then of those named later", async () => {
    const { clock, log, timers } = build({ heartbeatMs: 10_000 });
    timers.messageExpires(300);
    timers.messageExpires(200);
    timers.messageExpires(Number.POSITIVE_INFINITY);
    await clock.advance(1000);
    expect(log).toEqual(["message@200"]);
    timers.messageExpires(1500);
    await clock.advance(1000);
    expect(log).toEqual(["message@200", "message@1500"]);
  });

  test("report a message at once that has expired already", async () => {
    const { clock, log, timers } = build();
    timers.messageExpires(-5);
    await clock.advance(0);
    expect(log).toEqual(["message@0"]);
  });

  test("use one timer of the clock, and leave none", async () => {
    const { clock, log, timers } = build({ tokenExpiry: 5000 });
    timers.messageExpires(50);
    timers.sending();
    expect(clock.pending).toBe(1);
    timers.close();
    expect(clock.pending).toBe(0);
    timers.sending();
    timers.extendToken(10);
    timers.messageExpires(1);
    timers.close();
    expect(clock.pending).toBe(0);
    await clock.advance(10_000);
    expect(log).toEqual([]);
  });

  test("do not touch the timer under load", async () => {
    const { clock, timers } = build();
    let armed = 0;
    const after = clock.after.bind(clock);
    clock.after = (milliseconds, call) => {
      armed++;
      return after(milliseconds, call);
    };
    for (let index = 0; index < 1000; index++) {
      timers.sending();
      timers.sent();
    }
    expect(armed).toBe(0);
  });
});
