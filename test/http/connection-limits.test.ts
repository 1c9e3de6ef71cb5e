import { expect, test } from "vitest";
import { ConnectionLimits } from "../../src/http/connection-limits.ts";

/** Limits of 10 bytes, and the calls that have begun, by their users. */
function limited() {
  const limits = new ConnectionLimits(10);
  const begun: string[] = [];
  const enter = (user: string, session: object, bytes = 10) =>
    limits.enter({ user, session }, session, bytes, () => begun.push(user));
  return { begun, enter };
}

test("A call waits for the calls of its own user on its own connection alone", () => {
  const { begun, enter } = limited();
  const session = {};
  const first = enter("ann", session);
  enter("ann", session);
  enter("bob", session);
  enter("ann", {});
  expect(begun).toEqual(["ann", "bob", "ann"]);
  first.end();
  expect(begun).toEqual(["ann", "bob", "ann", "ann"]);
});

test("A call that turns out smaller makes room, and gives back no more than it holds, however often it ends", () => {
  const { begun, enter } = limited();
  const session = {};
  const first = enter("ann", session);
  first.resize(4);
  const second = enter("ann", session, 6);
  first.end();
  first.end();
  first.resize(9);
  enter("ann", session, 5);
  expect(begun).toEqual(["ann", "ann"]);
  second.end();
  expect(begun).toEqual(["ann", "ann", "ann"]);
});

test("A call that ends while it waits is never begun", () => {
  const { begun, enter } = limited();
  const session = {};
  const first = enter("ann", session);
  const waiting = enter("ann", session);
  waiting.end();
  first.end();
  expect(begun).toEqual(["ann"]);
  enter("ann", session);
  expect(begun).toEqual(["ann", "ann"]);
});
