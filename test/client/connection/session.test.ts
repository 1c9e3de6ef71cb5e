import { describe, expect, test, vi } from "vitest";
import type { TidingsState } from "../../../src/client/connection/transitions.ts";
import { settled } from "../fake-clock.ts";
import { caughtUp, fakeSession, hello, message, place } from "../fake-streams.ts";

const totals = (total: number, version = 1) => ({
  total,
  byCategory: total ? { "": total } : {},
  version: String(version),
});

describe("a stream", () => {
  test("passes through its states, in order", async () => {
    const { session, stream } = fakeSession();
    const states: TidingsState[] = [];
    session.state.subscribe((state) => void states.push(state));
    (await stream()).send(hello(), caughtUp);
    session.close();
    session.close();
    expect(states).toEqual(["idle", "authorizing", "connecting", "replaying", "live", "closed"]);
  });

  test("says nothing before Hello, and greets once", async () => {
    const { session, stream, messages } = fakeSession();
    const open = await stream();
    open.send(message(1), caughtUp);
    expect(session.state.value).toBe("connecting");
    open.send(hello({ unread: totals(1) }), caughtUp, hello({ unread: totals(7) }), message(1));
    expect(messages).toEqual(["m1"]);
    expect(session.intake.badge.totals.value?.total).toBe(2);
  });

  test("shows the totals that belong to a state by the time that state is seen", async () => {
    const { session, stream } = fakeSession();
    const seen: unknown[] = [];
    session.state.subscribe((state) => void seen.push([state, session.intake.badge.totals.value?.total]));
    (await stream()).send(hello({ unread: totals(3), online: { users: 2, connections: 5 } }), caughtUp);
    expect(seen.slice(-2)).toEqual([
      ["replaying", 3],
      ["live", 3],
    ]);
    expect(session.intake.online.value).toEqual({ users: 2, connections: 5 });
  });
});

describe("resuming", () => {
  test("gives back the last position of each feed, and drops what is sent twice", async () => {
    const { session, clock, stream, messages } = fakeSession();
    const first = await stream();
    first.send(
      hello({ positions: [place(4), { feed: "tenant", epoch: 2, seq: "8" }] }),
      caughtUp,
      message(5),
      message(6),
    );
    first.end("unavailable");
    expect(session.state.value).toBe("waiting");
    await clock.advance(250);
    const second = await stream();
    expect(second.request.positions).toEqual([place(6), { feed: "tenant", epoch: 2, seq: "8" }]);
    second.send(hello({ unread: totals(2) }), message(6), message(7), caughtUp, message(7), message(8));
    expect(messages).toEqual(["m5", "m6", "m7", "m8"]);
    expect(session.intake.badge.totals.value?.total).toBe(3);
  });

  test("positions of CaughtUp, heartbeats and gaps move the place, too", async () => {
    const { session, clock, stream } = fakeSession();
    const gaps: unknown[] = [];
    session.intake.listeners.add("gap", (gap) => void gaps.push([gap.from?.seq, gap.to?.seq]));
    const first = await stream();
    first.send(hello({ positions: [place(1)] }), { type: "gap", from: place(1), to: place(9) });
    first.send({ type: "caughtUp", positions: [place(12)] }, { type: "heartbeat", positions: [place(20)] });
    first.end("unknown");
    await clock.advance(250);
    expect((await stream()).request.positions).toEqual([place(20)]);
    expect(gaps).toEqual([["1", "9"]]);
  });

  test("a rebuilt feed starts over", async () => {
    const { clock, stream, messages } = fakeSession();
    const first = await stream();
    first.send(hello(), caughtUp, message(50), message(1, "", 2), message(2, "", 2));
    first.end("unavailable");
    await clock.advance(250);
    expect((await stream()).request.positions).toEqual([place(2, 2)]);
    expect(messages).toEqual(["m50", "m1", "m2"]);
  });

  test.each(["POSITION_IN_FUTURE", "POSITION_INVALID"])(
    "%s: forgets the positions, says so, and goes on",
    async (reason) => {
      const saved: string[] = [];
      const storage = { load: () => JSON.stringify([place(9)]), save: (text: string) => void saved.push(text) };
      const { session, clock, stream, errors } = fakeSession({ storage });
      const resets: string[] = [];
      session.intake.listeners.add("reset", (reset) => void resets.push(reset.reason));
      const first = await stream();
      expect(first.request.positions).toEqual([place(9)]);
      first.end("invalid_argument", { reason });
      await clock.advance(250);
      expect((await stream()).request.positions).toEqual([]);
      expect([resets, errors, saved]).toEqual([[reason], [], ["[]"]]);
    },
  );
});

describe("failures", () => {
  test.each([
    "canceled",
    "aborted",
    "unknown",
    "unavailable",
    "internal",
    "deadline_exceeded",
    "resource_exhausted",
    "data_loss",
  ] as const)("%s is tried again, for ever, and told once", async (code) => {
    const { session, clock, stream, streams, errors } = fakeSession();
    for (let i = 0; i < 40; i++) {
      (await stream()).end(code);
      expect(session.state.value).toBe("waiting");
      const wait = Math.min(15_000, 250 * 2 ** i);
      expect(clock.pending).toEqual([wait]);
      await clock.advance(wait);
    }
    expect(streams.length).toBe(41);
    expect(errors.map((error) => error.code)).toEqual([code]);
    (await stream()).send(hello(), caughtUp);
    expect(session.state.value).toBe("live");
    (await stream()).end(code);
    expect(errors.length).toBe(2);
  });

  test.each(["permission_denied", "invalid_argument", "unimplemented", "not_found"] as const)(
    "%s is final: told once, thrown by loops after what came before it",
    async (code) => {
      const { session, clock, stream, errors } = fakeSession();
      const loop = session.intake.deliveries.read();
      const open = await stream();
      open.send(hello(), caughtUp, message(1));
      open.end(code, { reason: "WHY" });
      expect(session.state.value).toBe("closed");
      expect([clock.pending, open.dropped, session.signal.aborted]).toEqual([[], true, true]);
      const events: string[] = [];
      await expect(async () => {
        for await (const event of loop) events.push(event.type);
      }).rejects.toMatchObject({ code, reason: "WHY" });
      expect(events).toEqual(["hello", "caughtUp", "message"]);
      expect(errors.length).toBe(1);
      await expect(session.intake.deliveries.read().next()).rejects.toMatchObject({ code });
    },
  );

  test("a long and healthy stream does not make those after it look healthy", async () => {
    const { clock, stream } = fakeSession();
    const healthy = await stream();
    healthy.send(hello({ heartbeatMs: 0 }), caughtUp);
    clock.sleep(3_600_000);
    healthy.end("unavailable");
    const waits: (number | undefined)[] = [];
    for (let i = 0; i < 4; i++) {
      waits.push(clock.pending[0]);
      await clock.advance(clock.pending[0] ?? 0);
      (await stream()).end("unavailable");
    }
    expect(waits).toEqual([250, 500, 1_000, 2_000]);
  });

  test("go_away: leaves at once, returns when told and not before, without an error", async () => {
    const { session, clock, stream, streams, errors } = fakeSession({ fraction: () => 0 });
    const open = await stream();
    open.send(hello(), caughtUp);
    clock.sleep(6_000);
    open.send({ type: "goAway", reconnectAfterMs: 3_000 });
    expect([session.state.value, open.dropped]).toEqual(["held", true]);
    await clock.advance(2_999);
    expect(streams.length).toBe(1);
    await clock.advance(1);
    expect((await stream()).request.positions).toEqual([]);
    expect(errors).toEqual([]);
  });

  test("RetryInfo: waits at least so long", async () => {
    const { session, clock, stream, streams, errors } = fakeSession();
    (await stream()).end("resource_exhausted", { reason: "TOO_MANY_STREAMS", retryAfterMs: 5_000 });
    expect(session.state.value).toBe("held");
    await clock.advance(5_249);
    expect(streams.length).toBe(1);
    await clock.advance(1);
    expect(streams.length).toBe(2);
    expect(errors.map(({ reason }) => reason)).toEqual(["TOO_MANY_STREAMS"]);
  });

  test("a stream without a Hello is dropped after 10 s", async () => {
    const { session, clock, stream, errors } = fakeSession();
    const silent = await stream();
    await clock.advance(9_999);
    expect(session.state.value).toBe("connecting");
    await clock.advance(1);
    expect([session.state.value, silent.dropped, errors[0]?.code]).toEqual(["waiting", true, "deadline_exceeded"]);
  });

  test("a stream that is silent for two heartbeats is dropped, one that speaks is not", async () => {
    const { session, clock, stream } = fakeSession();
    const open = await stream();
    open.send(hello({ heartbeatMs: 1_000 }), caughtUp);
    for (let i = 0; i < 10; i++) {
      await clock.advance(1_900);
      open.send({ type: "heartbeat", positions: [] });
    }
    expect(session.state.value).toBe("live");
    await clock.advance(1_999);
    expect(session.state.value).toBe("live");
    await clock.advance(1);
    expect([session.state.value, open.dropped]).toEqual(["waiting", true]);
  });
});

describe("tokens", () => {
  test("one that expired is replaced at once, without an error", async () => {
    const asked: boolean[] = [];
    const token = ({ refresh }: { refresh: boolean }) => `t${asked.push(refresh)}`;
    const { session, clock, stream, errors } = fakeSession({ token });
    const first = await stream();
    first.send(hello(), caughtUp, message(3));
    clock.sleep(60_000);
    first.end("unauthenticated", { reason: "TOKEN_EXPIRED" });
    const second = await stream();
    expect(second.request).toEqual({ token: "t2", positions: [place(3)], rooms: [] });
    expect([asked, errors, session.state.value]).toEqual([[false, true], [], "connecting"]);
  });

  test("refused again and again: slowly, told once, and healed by the first good one", async () => {
    let good = false;
    let asked = 0;
    const token = () => {
      asked += 1;
      return good ? "good" : "bad";
    };
    const { session, clock, stream, errors } = fakeSession({ token });
    for (let i = 0; i < 20; i++) {
      (await stream()).end("unauthenticated");
      if (i > 0) {
        expect(session.state.value).toBe("unauthorized");
        await clock.advance(22_500);
      }
    }
    expect([asked, errors.length, errors[0]?.code]).toEqual([21, 1, "unauthenticated"]);
    good = true;
    (await stream()).end("unauthenticated");
    await clock.advance(22_500);
    const open = await stream();
    expect(open.request.token).toBe("good");
    open.send(hello(), caughtUp);
    expect(session.state.value).toBe("live");
  });

  test("a token function that throws, or gives nothing, is asked again later", async () => {
    const answers = [() => Promise.reject(new Error("login is down")), () => "", () => "t"];
    const { session, clock, stream, errors } = fakeSession({ token: () => (answers.shift() as () => string)() });
    await settled();
    expect(session.state.value).toBe("waiting");
    await clock.advance(250);
    expect(session.state.value).toBe("waiting");
    await clock.advance(500);
    expect((await stream()).request.token).toBe("t");
    expect(errors.map(({ message }) => message)).toEqual(["token: login is down"]);
  });

  test("a token function that never answers is asked again; its late answer is ignored", async () => {
    const late = Promise.withResolvers<string>();
    const second = Promise.withResolvers<string>();
    const answers = [late.promise, second.promise];
    const { session, clock, stream, streams } = fakeSession({ token: () => answers.shift() ?? "third" });
    await settled();
    await clock.advance(30_000);
    expect(session.state.value).toBe("waiting");
    await clock.advance(250);
    late.resolve("late");
    await settled();
    expect(session.state.value).toBe("authorizing");
    second.resolve("second");
    expect((await stream()).request.token).toBe("second");
    expect([streams.length, await session.tokens.get()]).toEqual([1, "second"]);
  });
});

test("a listener's exception is uncaught, and neither stops the client nor other listeners", async () => {
  const uncaught = vi.fn();
  process.once("uncaughtException", uncaught);
  const { session, stream, messages } = fakeSession();
  session.intake.listeners.add("hello", () => {
    throw new Error("a bug of the page");
  });
  (await stream()).send(hello(), caughtUp, message(1));
  await vi.waitFor(() => expect(uncaught).toHaveBeenCalledOnce());
  expect([session.state.value, messages]).toEqual(["live", ["m1"]]);
});

test("close() from within a listener ends everything, wherever it happens", async () => {
  for (const type of ["hello", "message", "caughtUp", "reset", "error"] as const) {
    const { session, clock, stream } = fakeSession();
    session.intake.listeners.add(type, () => session.close());
    const open = await stream();
    if (type === "reset") open.end("invalid_argument", { reason: "POSITION_INVALID" });
    else if (type === "error") open.end("unavailable");
    else open.send(hello(), message(1), caughtUp);
    expect([type, session.state.value, clock.pending, open.dropped]).toEqual([type, "closed", [], true]);
  }
});

test.each(["idle", "authorizing", "connecting", "replaying", "live", "waiting", "held", "closed"] as const)(
  "close() when %s leaves no timer, no stream and no new attempt",
  async (at) => {
    const { session, clock, streams } = fakeSession();
    const go = async () => {
      if (at === "idle") return session.close();
      session.state.subscribe((state) => state === at && session.close());
      await settled();
      streams.at(-1)?.send(hello(), caughtUp);
      if (at === "waiting") streams.at(-1)?.end("unavailable");
      if (at === "held") streams.at(-1)?.send({ type: "goAway", reconnectAfterMs: 5 });
      if (at === "closed") session.close();
    };
    await go();
    const count = streams.length;
    await clock.advance(120_000);
    expect([session.state.value, clock.pending, streams.length]).toEqual(["closed", [], count]);
    expect(streams.filter(({ dropped }) => !dropped)).toEqual([]);
  },
);
