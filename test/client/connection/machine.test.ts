import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  forgetMs,
  healthyAfterMs,
  type Input,
  initialMachine,
  longestHoldMs,
  type Machine,
  maxFailures,
  step,
} from "../../../src/client/connection/machine.ts";
import { type TidingsState, transitions } from "../../../src/client/connection/transitions.ts";

const types: Input["type"][] = [
  "start",
  "token",
  "hello",
  "caughtUp",
  "later",
  "failed",
  "unauthenticated",
  "reset",
  "rejected",
  "timer",
  "wake",
  "hide",
  "resubscribe",
  "overflow",
  "drained",
  "close",
];
const delayed: TidingsState[] = ["waiting", "held", "unauthorized"];
const states = Object.keys(transitions) as TidingsState[];

const input = (allowed: Input["type"][]): fc.Arbitrary<Input> =>
  fc.record(
    {
      type: fc.constantFrom(...allowed),
      uptimeMs: fc.oneof(fc.nat(healthyAfterMs - 1), fc.nat(10 * healthyAfterMs)),
      afterMs: fc.oneof(fc.nat(10_000), fc.double({ noNaN: true })),
    },
    { requiredKeys: ["type"] },
  );
const anyInputs = fc.array(input(types), { maxLength: 60 });
const nonFinal = types.filter((type) => type !== "close" && type !== "rejected" && type !== "hide");
const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

function run(inputs: Input[], fraction = 0.5): Machine[] {
  const machines = [initialMachine];
  for (const each of inputs) machines.push(step(machines.at(-1) as Machine, each, () => fraction));
  return machines;
}

describe("The transition table", () => {
  test("has these moves and no others", () => {
    const moves = (state: TidingsState) =>
      Object.entries(transitions[state])
        .map(([signal, to]) => `${signal} ${to}`)
        .sort()
        .join(", ");
    const ends =
      "failed waiting, hide frozen, later held, refused unauthorized, rejected closed, reset waiting, stale authorizing, timer waiting";
    const sorted = (...moves: string[]) =>
      moves
        .flatMap((move) => move.split(", "))
        .sort()
        .join(", ");
    expect(Object.fromEntries(states.map((state) => [state, moves(state)]))).toEqual({
      idle: "close closed, hide frozen, start authorizing",
      authorizing: "close closed, failed waiting, hide frozen, timer waiting, token connecting",
      connecting: sorted(ends, "close closed, hello replaying"),
      replaying: sorted(ends, "caughtUp live, close closed, overflow paused, resubscribe authorizing"),
      live: sorted(ends, "close closed, overflow paused, resubscribe authorizing"),
      waiting: "close closed, hide frozen, timer authorizing, wake authorizing",
      held: "close closed, hide frozen, timer authorizing",
      unauthorized: "close closed, hide frozen, timer authorizing, wake authorizing",
      paused: "close closed, drained authorizing, hide frozen",
      frozen: "close closed, wake authorizing",
      closed: "",
    });
  });

  test("reaches every state from idle, and live from every state but closed", () => {
    const reach = (from: TidingsState) => {
      const found = new Set([from]);
      for (const state of found) for (const to of Object.values(transitions[state])) found.add(to);
      return found;
    };
    expect([...reach("idle")].sort()).toEqual([...states].sort());
    for (const state of states) if (state !== "closed") expect(reach(state), state).toContain("live");
  });
});

describe("After any sequence of inputs", () => {
  test("closed is final, and only close and rejected lead to it", () => {
    fc.assert(
      fc.property(anyInputs, (inputs) => {
        const machines = run(inputs);
        machines.forEach((machine, i) => {
          const before = machines[i - 1];
          if (before?.state === "closed") expect(machine).toBe(before);
          else if (machine.state === "closed") expect(["close", "rejected"]).toContain(inputs[i - 1]?.type);
        });
      }),
    );
  });

  test("two timers lead a started client from any delay to a new attempt", () => {
    fc.assert(
      fc.property(fc.array(input(nonFinal), { maxLength: 60 }), (inputs) => {
        const machine = run([{ type: "start" }, ...inputs]).at(-1) as Machine;
        if (machine.state === "paused") return;
        const once = step(machine, { type: "timer" }, () => 0);
        const twice = step(once, { type: "timer" }, () => 0);
        expect([once.state, twice.state]).toContain("authorizing");
      }),
    );
  });

  test("delays are bounded, and never shorter than the server asked", () => {
    fc.assert(
      fc.property(anyInputs, fraction, (inputs, f) => {
        const machines = run(inputs, f);
        machines.slice(1).forEach(({ state, delayMs }, i) => {
          if (machines[i] === machines[i + 1]) return;
          expect(delayMs).toBeGreaterThanOrEqual(0);
          if (state === "waiting") expect(delayMs).toBeLessThanOrEqual(30_000);
          if (state === "unauthorized") expect(delayMs).toBeGreaterThanOrEqual(500);
          if (state !== "held") return;
          expect(delayMs).toBeLessThanOrEqual(longestHoldMs + 30_000);
          expect(delayMs).toBeGreaterThanOrEqual(Math.min(inputs[i]?.afterMs ?? 0, longestHoldMs));
        });
      }),
    );
  });

  test("a delay lies between two attempts, except after one refused token", () => {
    const server: Input["type"][] = ["token", "hello", "caughtUp", "later", "failed", "unauthenticated", "reset"];
    const unhealthy = input(server).map(({ uptimeMs, ...rest }) => rest);
    fc.assert(
      fc.property(fc.array(unhealthy, { maxLength: 60 }), (inputs) => {
        const machines = run([{ type: "start" }, ...inputs]);
        const attempts = machines.filter(
          (machine, i) => machine.state === "authorizing" && machine !== machines[i - 1],
        );
        expect(attempts.length).toBeLessThanOrEqual(2);
      }),
    );
  });

  test("each period of a stream's life forgets one failure, and nothing else does", () => {
    fc.assert(
      fc.property(anyInputs, (inputs) => {
        const machines = run(inputs);
        machines.slice(1).forEach(({ failures }, i) => {
          const before = machines[i]?.failures ?? 0;
          const forgotten = Math.floor((inputs[i]?.uptimeMs ?? 0) / forgetMs);
          expect(failures).toBeGreaterThanOrEqual(Math.max(0, before - forgotten));
          expect(failures).toBeLessThanOrEqual(Math.min(maxFailures, before + 1));
        });
      }),
    );
  });

  test("only the page wakes a frozen client, and at once", () => {
    fc.assert(
      fc.property(fc.array(input(nonFinal), { maxLength: 60 }), anyInputs, (inputs, others) => {
        const before = run([{ type: "start" }, ...inputs]).at(-1) as Machine;
        const frozen = step(before, { type: "hide" }, () => 0.5);
        expect(frozen.state).toBe("frozen");
        for (const other of others) {
          if (other.type !== "wake" && other.type !== "close") expect(step(frozen, other, () => 0.5)).toBe(frozen);
        }
        expect(step(frozen, { type: "wake" }, () => 0.5).state).toBe("authorizing");
      }),
    );
  });
});

test("A refused token is replaced at once after a healthy connection, and after a delay when the fresh one is refused", () => {
  const connected: Input[] = [{ type: "start" }, { type: "token" }, { type: "hello" }];
  const refused: Input = { type: "unauthenticated", uptimeMs: 0 };
  const inputs = [...connected, refused, { type: "token" }, refused] as Input[];
  expect(run(inputs).map(({ state }) => state)).toEqual([
    "idle",
    "authorizing",
    "connecting",
    "replaying",
    "authorizing",
    "connecting",
    "unauthorized",
  ]);
  const recovered: Input[] = [
    { type: "timer" },
    { type: "token" },
    { type: "hello" },
    { ...refused, uptimeMs: 60_000 },
  ];
  expect(run([...inputs, ...recovered]).at(-1)?.state).toBe("authorizing");
});

test("The back-off grows with each failure, and forgets one for each half second of a stream", () => {
  const attempt: Input[] = [{ type: "timer" }, { type: "token" }, { type: "hello" }];
  const fail: Input = { type: "failed", uptimeMs: forgetMs - 1 };
  const inputs = [{ type: "start" }, { type: "token" }, fail, ...attempt, fail, ...attempt, fail] as Input[];
  const delays = (machines: Machine[]) => machines.filter(({ state }) => delayed.includes(state)).map((m) => m.delayMs);
  expect(delays(run(inputs))).toEqual([250, 500, 1_000]);
  const after = (uptimeMs: number) => delays(run([...inputs, ...attempt, { type: "failed", uptimeMs }])).at(-1);
  expect([0, 500, 1_000, 1_500, 60_000].map(after)).toEqual([2_000, 1_000, 500, 250, 250]);
});

test("After any number of cuts, 3 s of a stream leave a client that backs off like one that was never cut", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(2_000), { maxLength: 30 }), fc.integer({ min: 3_000, max: 5_000 }), (cuts, liveMs) => {
      const machine = [...cuts, liveMs].reduce(
        (before, uptimeMs) => {
          const inputs: Input[] = [
            { type: "timer" },
            { type: "token" },
            { type: "hello" },
            { type: "failed", uptimeMs },
          ];
          return inputs.reduce((each, next) => step(each, next, () => 0.5), before);
        },
        step(initialMachine, { type: "start" }, () => 0.5),
      );
      expect(machine).toMatchObject({ failures: 1, delayMs: 250 });
    }),
  );
});

test("A retry slot of the server counts as no failure, so the next failure is the first", () => {
  const cycle: Input[] = [{ type: "token" }, { type: "later", afterMs: 500 }, { type: "timer" }];
  const slots = Array.from({ length: 8 }, () => cycle).flat();
  const failed: Input[] = [{ type: "token" }, { type: "hello" }, { type: "failed", uptimeMs: 1 }];
  const machines = run([{ type: "start" }, ...slots, ...failed]);
  expect(machines.filter(({ state }) => state === "held").map(({ delayMs }) => delayMs)).toEqual(Array(8).fill(750));
  expect(machines.at(-1)).toMatchObject({ state: "waiting", delayMs: 250 });
});

test("A client that is asked to return at once again and again slows down with each time", () => {
  const cycle: Input[] = [
    { type: "token" },
    { type: "hello" },
    { type: "later", afterMs: 0, uptimeMs: 1 },
    { type: "timer" },
  ];
  const machines = run([{ type: "start" }, ...Array.from({ length: 8 }, () => cycle).flat()]);
  const delays = machines.filter(({ state }) => state === "held").map(({ delayMs }) => delayMs);
  expect(delays).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
});
