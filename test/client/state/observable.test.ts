import { expect, test } from "vitest";
import { Variable } from "../../../src/client/state/observable.ts";

test("A listener is called at once, on each change, and not after it was removed", () => {
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

test("A function that is subscribed twice is removed once at a time", () => {
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

test("A listener that changes the value leaves no listener with the old value", () => {
  const variable = new Variable("a");
  const seen: string[] = [];
  variable.subscribe((value) => value === "b" && variable.set("c"));
  variable.subscribe((value) => void seen.push(value));
  variable.set("b");
  expect(seen).toEqual(["a", "c"]);
});

test("A listener that another one removes during a change is not called", () => {
  const variable = new Variable(0);
  const seen: number[] = [];
  let stop = () => {};
  variable.subscribe(() => stop());
  stop = variable.subscribe((value) => void seen.push(value));
  variable.set(1);
  expect(seen).toEqual([0]);
});
