/** What the servers see of clients that all lost their streams at once: the state machine, and nothing else, on a clock of numbers. */
import type { ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { type Input, initialMachine, type Machine, step } from "../../src/client/connection/machine.ts";
import { Admission } from "../../src/core/admission.ts";
import { retryAfterOf } from "../../src/errors.ts";
import { FakeClock, seededRandom } from "../support/clock.ts";

interface Client {
  machine: Machine;
  /** When its timer runs out, in ms after the cut. */
  at: number;
}

/** A server's answer to a new stream at a time after the cut: taken in, or what its client hears. */
type Answer = (at: number) => "hello" | Input;

const clients = 5_000;

/** Runs so many clients from the cut on until all are back; answers when each came back, and when each try was. */
function storm(answer: Answer, cut: Input, seed: number): { back: number[]; tries: number[] } {
  const { fraction } = seededRandom(seed);
  const next = (machine: Machine, ...inputs: Input[]) =>
    inputs.reduce((before, input) => step(before, input, fraction), machine);
  const live = next(initialMachine, { type: "start" }, { type: "token" }, { type: "hello" }, { type: "caughtUp" });
  const waiting: Client[] = Array.from({ length: clients }, () => {
    const machine = next(live, { ...cut, uptimeMs: 60_000 });
    return { machine, at: machine.delayMs };
  });
  const back: number[] = [];
  const tries: number[] = [];
  waiting.sort((a, b) => b.at - a.at);
  for (let client = waiting.pop(); client; client = waiting.pop()) {
    tries.push(client.at);
    const heard = answer(client.at);
    if (heard === "hello") {
      back.push(client.at);
      continue;
    }
    client.machine = next(client.machine, { type: "timer" }, { type: "token" }, heard);
    client.at += client.machine.delayMs;
    waiting.splice(placeOf(client, waiting), 0, client);
  }
  return { back, tries };
}

/** Where a client stands among those that wait, the last one first. */
function placeOf({ at }: Client, waiting: readonly Client[]): number {
  let [low, high] = [0, waiting.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((waiting[middle]?.at ?? 0) > at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A node that takes in so many per second. */
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

/** The count of the fastest second, and the mean per second until the last. */
function pace(times: number[]): { fastest: number; mean: number; last: number } {
  const last = Math.max(...times);
  const seconds = new Map<number, number>();
  for (const time of times) seconds.set(Math.floor(time / 1000), (seconds.get(Math.floor(time / 1000)) ?? 0) + 1);
  return { fastest: Math.max(...seconds.values()), mean: times.length / (last / 1000), last };
}

describe.each([1, 2, 3])("5,000 clients that are cut at once, seed %i,", (seed) => {
  test("are back within 30 s, the fastest second at most twice the mean", () => {
    const { back, tries } = storm(node(), { type: "failed" }, seed);
    const { fastest, mean, last } = pace(back);
    expect(back).toHaveLength(clients);
    expect(last).toBeLessThan(30_000);
    expect(fastest).toBeLessThanOrEqual(2 * mean);
    expect(tries.length).toBeLessThan(3 * clients);
  });

  test("are back within 30 s from when the node is back, too, and never faster than it takes them", () => {
    const admit = node();
    const { back } = storm((at) => (at < 5_000 ? { type: "failed" } : admit(at - 5_000)), { type: "failed" }, seed);
    const { fastest, last } = pace(back.map((time) => time - 5_000));
    expect(last).toBeLessThan(30_000);
    expect(fastest).toBeLessThanOrEqual(750);
  });

  test("are so, too, on two nodes that are left of three", () => {
    const nodes = [node(), node()];
    let turn = 0;
    const answer: Answer = (at) => (nodes[turn++ % 2] as Answer)(at);
    const { fastest, mean, last } = pace(storm(answer, { type: "failed" }, seed).back);
    expect(last).toBeLessThan(30_000);
    expect(fastest).toBeLessThanOrEqual(2 * mean);
  });

  test("of a node that drains come back spread over its window", () => {
    const { fraction } = seededRandom(seed);
    const drainMs = 20_000;
    const { fraction: spread } = seededRandom(seed + 100);
    // Each is told a time of its own.
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

test("without a limit of the node the tries themselves are spread evenly over the first wait", () => {
  const { back } = storm(() => "hello", { type: "failed" }, 1);
  const tenths = Array.from({ length: 10 }, (_, tenth) => back.filter((at) => Math.floor(at / 50) === tenth).length);
  expect(Math.max(...back)).toBeLessThan(500);
  for (const count of tenths) expect(count).toBeLessThan((2 * clients) / 10);
});
