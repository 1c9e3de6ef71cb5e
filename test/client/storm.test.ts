/** The reconnects of clients that lost their streams at once: only the state machine, in simulated time. */
import type { ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { type Input, initialMachine, type Machine, step } from "../../src/client/connection/machine.ts";
import { Admission } from "../../src/core/admission.ts";
import { retryAfterOf } from "../../src/errors.ts";
import { FakeClock, seededRandom } from "../support/clock.ts";

interface Client {
  machine: Machine;
  /** When its timer fires, in ms after the cut. */
  at: number;
}

/** The answer of a server to a new stream at a time after the cut: Hello, or the input of the client's machine. */
type Answer = (at: number) => "hello" | Input;

const clients = 5_000;

/** Runs the clients from the cut until all are back. Returns the times of the successful attempts, and of all. */
function storm(answer: Answer, cut: Input, seed: number): { back: number[]; attempts: number[] } {
  const { fraction } = seededRandom(seed);
  const next = (machine: Machine, ...inputs: Input[]) =>
    inputs.reduce((before, input) => step(before, input, fraction), machine);
  const live = next(initialMachine, { type: "start" }, { type: "token" }, { type: "hello" }, { type: "caughtUp" });
  const waiting: Client[] = Array.from({ length: clients }, () => {
    const machine = next(live, { ...cut, uptimeMs: 60_000 });
    return { machine, at: machine.delayMs };
  });
  const back: number[] = [];
  const attempts: number[] = [];
  waiting.sort((a, b) => b.at - a.at);
  for (let client = waiting.pop(); client; client = waiting.pop()) {
    attempts.push(client.at);
    const outcome = answer(client.at);
    if (outcome === "hello") {
      back.push(client.at);
      continue;
    }
    client.machine = next(client.machine, { type: "timer" }, { type: "token" }, outcome);
    client.at += client.machine.delayMs;
    waiting.splice(indexOf(client, waiting), 0, client);
  }
  return { back, attempts };
}

/** The index of a client among the waiting ones, which are sorted by time, latest first. */
function indexOf({ at }: Client, waiting: readonly Client[]): number {
  let [low, high] = [0, waiting.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((waiting[middle]?.at ?? 0) > at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A node that admits this number of streams per second. */
function node(perSecond = 500): Answer {
  const clock = new FakeClock(0);
  const admission = new Admission(
    { perSecond, burst: perSecond / 2, perTenant: Number.POSITIVE_INFINITY },
    { clock, random: seededRandom(), beginning: () => 0 },
  );
  return (at) => {
    clock.set(at);
    try {
      admission.admit()();
      return "hello";
    } catch (error) {
      return { type: "later", afterMs: retryAfterOf(error as ConnectError) ?? Number.NaN };
    }
  };
}

/** The count of the busiest second, the mean per second, and the time of the last. */
function pace(times: number[]): { fastest: number; mean: number; last: number } {
  const last = Math.max(...times);
  const seconds = new Map<number, number>();
  for (const time of times) seconds.set(Math.floor(time / 1000), (seconds.get(Math.floor(time / 1000)) ?? 0) + 1);
  return { fastest: Math.max(...seconds.values()), mean: times.length / (last / 1000), last };
}

describe.each([1, 2, 3])("5,000 clients that are cut at once (seed %i)", (seed) => {
  test("are back within 30 s, with at most twice the mean in any second", () => {
    const { back, attempts } = storm(node(), { type: "failed" }, seed);
    const { fastest, mean, last } = pace(back);
    expect(back).toHaveLength(clients);
    expect(last).toBeLessThan(30_000);
    expect(fastest).toBeLessThanOrEqual(2 * mean);
    expect(attempts.length).toBeLessThan(3 * clients);
  });

  test("are back within 30 s after the node is back, and never faster than it admits them", () => {
    const admit = node();
    const { back } = storm((at) => (at < 5_000 ? { type: "failed" } : admit(at - 5_000)), { type: "failed" }, seed);
    const { fastest, last } = pace(back.map((time) => time - 5_000));
    expect(last).toBeLessThan(30_000);
    expect(fastest).toBeLessThanOrEqual(750);
  });

  test("are back within 30 s on the two nodes that are left of three", () => {
    const nodes = [node(), node()];
    let count = 0;
    const answer: Answer = (at) => (nodes[count++ % 2] as Answer)(at);
    const { fastest, mean, last } = pace(storm(answer, { type: "failed" }, seed).back);
    expect(last).toBeLessThan(30_000);
    expect(fastest).toBeLessThanOrEqual(2 * mean);
  });

  test("by a draining node come back spread over its drain window", () => {
    const { fraction } = seededRandom(seed);
    const drainMs = 20_000;
    const { fraction: spread } = seededRandom(seed + 100);
    // The node names a delay for each client.
    const times = Array.from({ length: clients }, () => {
      const live = [{ type: "start" }, { type: "token" }, { type: "hello" }, { type: "caughtUp" }] as Input[];
      const machine = live.reduce((before, input) => step(before, input, fraction), initialMachine);
      return step(machine, { type: "later", afterMs: spread() * drainMs, uptimeMs: 60_000 }, fraction).delayMs;
    });
    const { fastest, mean, last } = pace(times);
    expect(last).toBeLessThan(drainMs + 500);
    expect(fastest).toBeLessThanOrEqual(2 * mean);
  });
});

test("Without an admission limit the attempts are spread evenly over the first back-off delay", () => {
  const { back } = storm(() => "hello", { type: "failed" }, 1);
  const tenths = Array.from({ length: 10 }, (_, tenth) => back.filter((at) => Math.floor(at / 50) === tenth).length);
  expect(Math.max(...back)).toBeLessThan(500);
  for (const count of tenths) expect(count).toBeLessThan((2 * clients) / 10);
});
