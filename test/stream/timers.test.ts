import { describe, expect, test } from "vitest";
import { Timers } from "../../src/stream/timers.ts";
import { FakeClock } from "../support/clock.ts";

/** A clock whose time can be wrong, while its timers run on. */
class JumpingClock extends FakeClock {
  skew = 0;

  override now(): number {
    return super.now() + this.skew;
  }
}

/** Deadlines that write down what they do, and when. */
function build({ heartbeatMs = 100, stallMs = 300, tokenExpiry = Number.POSITIVE_INFINITY } = {}) {
  const clock = new JumpingClock(0);
  const log: string[] = [];
  const note = (name: string) => () => void log.push(`${name}@${clock.now()}`);
  const deadlines = new Timers(
    clock,
    { heartbeatMs, stallMs, tokenExpiry },
    { beat: note("beat"), messageExpired: note("message"), tokenExpired: note("token"), stalled: note("stalled") },
  );
  return { clock, log, deadlines };
}

describe("Deadlines", () => {
  test("beat after silence, again and again", async () => {
    const { clock, log } = build();
    await clock.advance(350);
    expect(log).toEqual(["beat@100", "beat@200", "beat@300"]);
  });

  test("go on beating, and still tell of a stalled reader, when the clock is set back", async () => {
    const { clock, log, deadlines } = build();
    await clock.advance(150);
    clock.skew = -100_000;
    await clock.advance(300);
    expect(log).toEqual(["beat@100", "beat@-99800", "beat@-99700", "beat@-99600"]);
    deadlines.sending();
    clock.skew = -200_000;
    await clock.advance(1000);
    expect(log.slice(4)).toEqual(["stalled@-199200"]);
  });

  test("do not beat while there is traffic", async () => {
    const { clock, log, deadlines } = build();
    for (let index = 0; index < 20; index++) {
      await clock.advance(50);
      deadlines.sending();
      deadlines.sent();
    }
    expect(log).toEqual([]);
    await clock.advance(99);
    expect(log).toEqual([]);
    await clock.advance(1);
    expect(log).toEqual(["beat@1100"]);
  });

  test("tell of a reader that takes nothing, once", async () => {
    const { clock, log, deadlines } = build();
    deadlines.sending();
    await clock.advance(299);
    expect(log).toEqual([]);
    await clock.advance(1000);
    expect(log).toEqual(["stalled@300"]);
  });

  test("count each step of progress as taking something", async () => {
    const { clock, log, deadlines } = build();
    deadlines.sending();
    for (let index = 0; index < 5; index++) {
      await clock.advance(299);
      deadlines.sending();
    }
    expect(log).toEqual([]);
  });

  test("tell of a stall that is shorter than the heartbeat", async () => {
    const { clock, log, deadlines } = build({ heartbeatMs: 1000, stallMs: 50 });
    await clock.advance(10);
    deadlines.sending();
    await clock.advance(100);
    expect(log).toEqual(["stalled@60"]);
  });

  test("beat in time after a slow reader took what it had", async () => {
    const { clock, log, deadlines } = build({ heartbeatMs: 100, stallMs: 10_000 });
    deadlines.sending();
    await clock.advance(150);
    deadlines.sent();
    await clock.advance(100);
    expect(log).toEqual(["beat@250"]);
  });

  test("tell when the token ends, and when a fresh one does", async () => {
    const { clock, log, deadlines } = build({ heartbeatMs: 10_000, tokenExpiry: 500 });
    await clock.advance(400);
    deadlines.extendToken(900);
    await clock.advance(400);
    expect(log).toEqual([]);
    await clock.advance(400);
    expect(log).toEqual(["token@900"]);
  });

  test("tell when the first counted message expires, and then of those named later", async () => {
    const { clock, log, deadlines } = build({ heartbeatMs: 10_000 });
    deadlines.messageExpires(300);
    deadlines.messageExpires(200);
    deadlines.messageExpires(Number.POSITIVE_INFINITY);
    await clock.advance(1000);
    expect(log).toEqual(["message@200"]);
    deadlines.messageExpires(1500);
    await clock.advance(1000);
    expect(log).toEqual(["message@200", "message@1500"]);
  });

  test("tell at once of what has expired already", async () => {
    const { clock, log, deadlines } = build();
    deadlines.messageExpires(-5);
    await clock.advance(0);
    expect(log).toEqual(["message@0"]);
  });

  test("take one timer, and leave none", async () => {
    const { clock, log, deadlines } = build({ tokenExpiry: 5000 });
    deadlines.messageExpires(50);
    deadlines.sending();
    expect(clock.pending).toBe(1);
    deadlines.close();
    expect(clock.pending).toBe(0);
    deadlines.sending();
    deadlines.extendToken(10);
    deadlines.messageExpires(1);
    deadlines.close();
    expect(clock.pending).toBe(0);
    await clock.advance(10_000);
    expect(log).toEqual([]);
  });

  test("under load do not touch the timer", async () => {
    const { clock, deadlines } = build();
    let armed = 0;
    const after = clock.after.bind(clock);
    clock.after = (milliseconds, call) => {
      armed++;
      return after(milliseconds, call);
    };
    for (let index = 0; index < 1000; index++) {
      deadlines.sending();
      deadlines.sent();
    }
    expect(armed).toBe(0);
  });
});
