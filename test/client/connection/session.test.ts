import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { TidingsState } from "../../../src/client/connection/transitions.ts";
import { settled } from "../fake-clock.ts";
import { caughtUp, fakeSession, hello, message, positionAt } from "../fake-streams.ts";

const totals = (total: number, version = 1) => ({
  total,
  byCategory: total ? { "": total } : {},
  version: String(version),
});

describe("A session", () => {
  test("passes through its states in order", async () => {
    const { session, stream } = fakeSession();
    const states: TidingsState[] = [];
    session.state.subscribe((state) => void states.push(state));
    (await stream()).send(hello(), caughtUp);
    session.close();
    session.close();
    expect(states).toEqual(["idle", "authorizing", "connecting", "replaying", "live", "closed"]);
  });

  test("ignores events before Hello, and a second Hello", async () => {
    const { session, stream, messages } = fakeSession();
    const open = await stream();
    open.send(message(1), caughtUp);
    expect(session.state.value).toBe("connecting");
    open.send(hello({ unread: totals(1) }), caughtUp, hello({ unread: totals(7) }), message(1));
    expect(messages).toEqual(["m1"]);
    expect(session.intake.badge.totals.value?.total).toBe(2);
  });

  test("sets the totals and the online count before the state that they belong to", async () => {
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

describe("A session that reconnects", () => {
  test("sends the last position of each feed, and drops duplicates", async () => {
    const { session, clock, stream, messages } = fakeSession();
    const first = await stream();
    first.send(
      hello({ positions: [positionAt(4), { feed: "tenant", epoch: 2, seq: "8" }] }),
      caughtUp,
      message(5),
      message(6),
    );
    first.end("unavailable");
    expect(session.state.value).toBe("waiting");
    await clock.advance(250);
    const second = await stream();
    expect(second.request.positions).toEqual([positionAt(6), { feed: "tenant", epoch: 2, seq: "8" }]);
    second.send(hello({ unread: totals(2) }), message(6), message(7), caughtUp, message(7), message(8));
    expect(messages).toEqual(["m5", "m6", "m7", "m8"]);
    expect(session.intake.badge.totals.value?.total).toBe(3);
  });

  test("sends the positions of CaughtUp, heartbeats and gaps as well", async () => {
    const { session, clock, stream } = fakeSession();
    const gaps: unknown[] = [];
    session.intake.listeners.add("gap", (gap) => void gaps.push([gap.after?.seq, gap.to?.seq]));
    const first = await stream();
    first.send(hello({ positions: [positionAt(1)] }), { type: "gap", after: positionAt(1), to: positionAt(9) });
    first.send({ type: "caughtUp", positions: [positionAt(12)] }, { type: "heartbeat", positions: [positionAt(20)] });
    first.end("unknown");
    await clock.advance(250);
    expect((await stream()).request.positions).toEqual([positionAt(20)]);
    expect(gaps).toEqual([["1", "9"]]);
  });

  test("follows a rebuilt feed from the first message of its new epoch", async () => {
    const { clock, stream, messages } = fakeSession();
    const first = await stream();
    first.send(hello(), caughtUp, message(50), message(1, "", 2), message(2, "", 2));
    first.end("unavailable");
    await clock.advance(250);
    expect((await stream()).request.positions).toEqual([positionAt(2, 2)]);
    expect(messages).toEqual(["m50", "m1", "m2"]);
  });

  test.each(["POSITION_IN_FUTURE", "POSITION_INVALID"])(
    "forgets its positions after %s, gives a reset event, and continues",
    async (reason) => {
      const saved: string[] = [];
      const storage = { load: () => JSON.stringify([positionAt(9)]), save: (text: string) => void saved.push(text) };
      const { session, clock, stream, errors } = fakeSession({ storage });
      const resets: string[] = [];
      session.intake.listeners.add("reset", (reset) => void resets.push(reset.reason));
      const first = await stream();
      expect(first.request.positions).toEqual([positionAt(9)]);
      first.end("invalid_argument", { reason });
      await clock.advance(250);
      expect((await stream()).request.positions).toEqual([]);
      expect([resets, errors, saved]).toEqual([[reason], [], ["[]"]]);
    },
  );
});

describe("A session whose stream", () => {
  test.each([
    "canceled",
    "aborted",
    "unknown",
    "unavailable",
    "internal",
    "deadline_exceeded",
    "resource_exhausted",
    "data_loss",
  ] as const)("fails with %s retries forever and reports one error", async (code) => {
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
    "fails with %s and a reason closes, and its loops throw the error after the queued events",
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

  test("was healthy for long counts the failures that follow from the first", async () => {
    const { clock, stream } = fakeSession();
    const healthy = await stream();
    healthy.send(hello({ heartbeatInterval: 0 }), caughtUp);
    clock.sleep(3_600_000);
    healthy.end("unavailable");
    const delays: (number | undefined)[] = [];
    for (let i = 0; i < 4; i++) {
      delays.push(clock.pending[0]);
      await clock.advance(clock.pending[0] ?? 0);
      (await stream()).end("unavailable");
    }
    expect(delays).toEqual([250, 500, 1_000, 2_000]);
  });

  test("ends by GoAway reconnects after the delay that the server named, without an error", async () => {
    const { session, clock, stream, streams, errors } = fakeSession({ random: { fraction: () => 0 } });
    const open = await stream();
    open.send(hello(), caughtUp);
    clock.sleep(6_000);
    open.send({ type: "goAway", reconnectAfter: 3_000 });
    expect([session.state.value, open.dropped]).toEqual(["held", true]);
    await clock.advance(2_999);
    expect(streams.length).toBe(1);
    await clock.advance(1);
    expect((await stream()).request.positions).toEqual([]);
    expect(errors).toEqual([]);
  });

  test("fails with RetryInfo waits at least as long as it says", async () => {
    const { session, clock, stream, streams, errors } = fakeSession();
    (await stream()).end("resource_exhausted", { reason: "TOO_MANY_STREAMS", retryAfterMs: 5_000 });
    expect(session.state.value).toBe("held");
    await clock.advance(5_249);
    expect(streams.length).toBe(1);
    await clock.advance(1);
    expect(streams.length).toBe(2);
    expect(errors.map(({ reason }) => reason)).toEqual(["TOO_MANY_STREAMS"]);
  });

  test("sends no Hello drops it after 10 s", async () => {
    const { session, clock, stream, errors } = fakeSession();
    const silent = await stream();
    await clock.advance(9_999);
    expect(session.state.value).toBe("connecting");
    await clock.advance(1);
    expect([session.state.value, silent.dropped, errors[0]?.code]).toEqual(["waiting", true, "deadline_exceeded"]);
  });

  test("sends nothing for two heartbeat intervals drops it", async () => {
    const { session, clock, stream } = fakeSession();
    const open = await stream();
    open.send(hello({ heartbeatInterval: 1_000 }), caughtUp);
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

describe("A stream in doubt", () => {
  /** A page that reports an event, which is one of watchPage's. */
  function wake(type: string) {
    globalThis.dispatchEvent(new Event(type));
  }
  beforeEach(() => {
    const page = new EventTarget();
    for (const name of ["addEventListener", "removeEventListener", "dispatchEvent"] as const) {
      vi.stubGlobal(name, page[name].bind(page));
    }
  });
  afterEach(() => vi.unstubAllGlobals());

  test("stays when it answers the probe, and is watched as before", async () => {
    const { session, clock, stream } = fakeSession({ probes: true });
    const open = await stream();
    open.send(hello({ heartbeatInterval: 25_000 }), caughtUp);
    wake("online");
    await clock.advance(2_499);
    open.send({ type: "heartbeat", positions: [] });
    expect([open.probes, open.dropped]).toEqual([1, false]);
    await clock.advance(49_999);
    expect(session.state.value).toBe("live");
    await clock.advance(1);
    expect([session.state.value, open.dropped]).toEqual(["waiting", true]);
  });

  test.each(["replaying", "live"])("is replaced within 3 s when it is %s and does not answer", async (state) => {
    const { session, clock, stream, errors } = fakeSession({ probes: true, random: { fraction: () => 0.999 } });
    const open = await stream();
    open.send(hello());
    if (state === "live") open.send(caughtUp);
    expect(session.state.value).toBe(state);
    await clock.advance(10_000);
    wake("online");
    // Further doubts do not extend the deadline.
    await clock.advance(2_000);
    wake("online");
    wake("pageshow");
    await clock.advance(500);
    expect([open.dropped, session.state.value]).toEqual([true, "waiting"]);
    await clock.advance(500);
    expect(await stream()).not.toBe(open);
    expect(errors.map(({ code }) => code)).toEqual(["deadline_exceeded"]);
  });

  test("that cannot be probed is replaced after a change of the network, with the back-off of a failure", async () => {
    const { session, clock, stream, streams, errors } = fakeSession();
    for (const wait of [250, 500, 1_000]) {
      (await stream()).send(hello(), caughtUp);
      wake("online");
      expect([session.state.value, clock.pending]).toEqual(["waiting", [wait]]);
      await clock.advance(wait);
    }
    expect([streams.length, errors]).toEqual([4, []]);
  });

  test("that cannot be probed stays when the page is merely seen again", async () => {
    const { session, stream } = fakeSession();
    (await stream()).send(hello(), caughtUp);
    wake("pageshow");
    expect(session.state.value).toBe("live");
  });
});

describe("The token function", () => {
  test("is called again at once when a token has expired, without an error", async () => {
    const refreshes: boolean[] = [];
    const token = ({ refresh }: { refresh: boolean }) => `t${refreshes.push(refresh)}`;
    const { session, clock, stream, errors } = fakeSession({ token });
    const first = await stream();
    first.send(hello(), caughtUp, message(3));
    clock.sleep(60_000);
    first.end("unauthenticated", { reason: "TOKEN_EXPIRED" });
    const second = await stream();
    expect(second.request).toEqual({ token: "t2", positions: [positionAt(3)], rooms: [] });
    expect([refreshes, errors, session.state.value]).toEqual([[false, true], [], "connecting"]);
  });

  test("is called at growing intervals while its tokens are refused, with one error, until one is accepted", async () => {
    let good = false;
    let tokenCalls = 0;
    const token = () => {
      tokenCalls += 1;
      return good ? "good" : "bad";
    };
    const { session, clock, stream, errors } = fakeSession({ token });
    for (let i = 0; i < 20; i++) {
      (await stream()).end("unauthenticated");
      if (i > 0) {
        expect(session.state.value).toBe("unauthorized");
        const wait = Math.min(22_500, 375 * 2 ** i);
        expect(clock.pending).toEqual([wait]);
        await clock.advance(wait);
      }
    }
    expect([tokenCalls, errors.length, errors[0]?.code]).toEqual([21, 1, "unauthenticated"]);
    good = true;
    (await stream()).end("unauthenticated");
    await clock.advance(22_500);
    const open = await stream();
    expect(open.request.token).toBe("good");
    open.send(hello(), caughtUp);
    expect(session.state.value).toBe("live");
  });

  test("is called again later when it throws or returns an empty token", async () => {
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

  test("is called again after 30 s without an answer, and its late answer is ignored", async () => {
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

describe("What a listener throws, or its promise rejects with,", () => {
  const bug = new Error("a bug of the page");
  const faults: [string, () => unknown][] = [
    [
      "by throw",
      () => {
        throw bug;
      },
    ],
    ["by rejection", () => Promise.reject(bug)],
  ];

  /** Adds the listener wherever an application can have one. */
  function everywhere(session: ReturnType<typeof fakeSession>["session"], fault: () => unknown): void {
    const listener = fault as () => void;
    for (const type of ["hello", "message", "caughtUp", "readState", "gap", "room", "online"] as const) {
      session.intake.listeners.add(type, listener);
    }
    for (const observable of [session.state, session.intake.badge.totals, session.intake.online]) {
      observable.subscribe(listener as (value: unknown) => void);
    }
  }
  const events = [hello({ unread: totals(1), online: { users: 1, connections: 1 } }), caughtUp, message(1)];

  test.each(faults)("%s, is an error event with its cause, and stops nothing", async (_how, fault) => {
    const { session, stream, messages, errors } = fakeSession();
    everywhere(session, fault);
    (await stream()).send(...events);
    await settled();
    expect([session.state.value, messages]).toEqual(["live", ["m1"]]);
    // Three observables at once and on their changes (four states, totals of Hello and of a message, the count), and
    // three events.
    expect(errors).toHaveLength(3 + 4 + 2 + 1 + 3);
    for (const error of errors)
      expect(error).toMatchObject({ code: "unknown", message: `listener: ${bug.message}`, cause: bug });
  });

  test.each(faults)(
    "%s, goes to the console where nothing listens for errors, or that listener fails",
    async (_how, fault) => {
      const log = vi.spyOn(console, "error").mockImplementation(() => {});
      const { session, stream, messages, stopErrors } = fakeSession();
      stopErrors();
      everywhere(session, fault);
      session.intake.listeners.add("error", fault as () => void);
      const open = await stream();
      open.send(...events);
      open.end("unavailable");
      await settled();
      expect([session.state.value, messages]).toEqual(["waiting", ["m1"]]);
      expect(log.mock.calls.length).toBeGreaterThan(10);
      for (const [thrown] of log.mock.calls) expect(thrown).toBe(bug);
      log.mockRestore();
    },
  );
});

test("close() in a listener of any event ends the stream and the timer", async () => {
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
      if (at === "held") streams.at(-1)?.send({ type: "goAway", reconnectAfter: 5 });
      if (at === "closed") session.close();
    };
    await go();
    const count = streams.length;
    await clock.advance(120_000);
    expect([session.state.value, clock.pending, streams.length]).toEqual(["closed", [], count]);
    expect(streams.filter(({ dropped }) => !dropped)).toEqual([]);
  },
);
