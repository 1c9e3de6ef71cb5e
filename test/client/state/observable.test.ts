import { expect, test } from "vitest";
import { Variable } from "../../../src/client/state/observable.ts";

test("a listener is called at once, on each change, and not after it has left", () => {
  const variable = new Variable(1);
  const seen: number[] = [];
  const stop = variable.subscribe((value) => void seen.push(value));
  variable.set(2);
  variable.set(2);
  variable.set(3);
  stop();
  stop();
  variable.set(4);
  expect([seen, variable.value]).toEqual([[1, 2, 3], 4]);
});

test("one function subscribed twice leaves once at a time", () => {
  const variable = new Variable(0);
  let calls = 0;
  const listener = () => {
    calls += 1;
  };
  const stops = [variable.subscribe(listener), variable.subscribe(listener)];
  stops[0]?.();
  calls = 0;
  variable.set(1);
  expect(calls).toBe(1);
});

test("a listener that changes the value leaves nobody with the old one last", () => {
  const variable = new Variable("a");
  const seen: string[] = [];
  variable.subscribe((value) => value === "b" && variable.set("c"));
  variable.subscribe((value) => void seen.push(value));
  variable.set("b");
  expect(seen).toEqual(["a", "c"]);
});

test("a listener that is removed by another during a change is not called", () => {
  const variable = new Variable(0);
  const seen: number[] = [];
  let stop = () => {};
  variable.subscribe(() => stop());
  stop = variable.subscribe((value) => void seen.push(value));
  variable.set(1);
  expect(seen).toEqual([0]);
});
