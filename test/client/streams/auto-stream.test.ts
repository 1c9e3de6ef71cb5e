import { expect, test } from "vitest";
import type { StreamSink } from "../../../src/client/events.ts";
import { autoStream } from "../../../src/client/streams/auto.ts";
import { type ErrorCode, type ErrorExtras, TidingsError } from "../../../src/client/tidings-error.ts";
import { hello } from "../fake-streams.ts";

/** Both ways as fakes, and a log of what was opened. */
function fakeWays() {
  const opened: string[] = [];
  const dropped: string[] = [];
  let sink: StreamSink<string> | undefined;
  const way = (name: string) => (_request: unknown, given: StreamSink<string>) => {
    opened.push(name);
    sink = given;
    return () => void dropped.push(name);
  };
  const open = autoStream<string>(way("ws"), way("connect"));
  const ends: string[] = [];
  return {
    opened,
    dropped,
    ends,
    attempt: () =>
      open(
        { token: "t", positions: [], rooms: [] },
        { event: () => {}, end: ({ message }) => void ends.push(message) },
      ),
    hello: () => sink?.event(hello()),
    lose: (message = "lost", extras: ErrorExtras = {}, code: ErrorCode = "unavailable") =>
      sink?.end(new TidingsError(code, message, extras)),
  };
}

test("a bridge that fails before Hello is followed by Connect within the same attempt", () => {
  const { opened, ends, attempt, lose } = fakeWays();
  attempt();
  lose("ws");
  lose("connect");
  expect([opened, ends]).toEqual([["ws", "connect"], ["connect"]]);
});

test("when both fail, the next attempt begins with the bridge again", () => {
  const { opened, attempt, lose } = fakeWays();
  for (let i = 0; i < 2; i++) {
    const drop = attempt();
    lose();
    lose();
    drop();
  }
  expect(opened).toEqual(["ws", "connect", "ws", "connect"]);
});

test("what worked is used alone, until it fails before Hello", () => {
  const { opened, attempt, hello, lose } = fakeWays();
  attempt();
  hello();
  lose();
  attempt();
  lose();
  expect(opened).toEqual(["ws", "ws"]);
  attempt();
  lose();
  expect(opened).toEqual(["ws", "ws", "ws", "connect"]);
});

test("what a proxy refuses is no answer, whatever its code: the other way has its turn", () => {
  const { opened, attempt, hello, lose } = fakeWays();
  attempt();
  lose();
  hello();
  lose();
  attempt();
  lose("404", {}, "unimplemented");
  attempt();
  expect(opened).toEqual(["ws", "connect", "connect", "ws"]);
});

test("an error of the server itself is an answer, however early", () => {
  const { opened, ends, attempt, lose } = fakeWays();
  attempt()();
  opened.length = 0;
  attempt();
  lose("draining", { reason: "SERVER_DRAINING" });
  expect([opened, ends]).toEqual([["connect"], ["draining"]]);
  attempt();
  expect(opened).toEqual(["connect", "connect"]);
});

test("a bridge that stays silent is given up for Connect at the next attempt, and the other way round", () => {
  const { opened, dropped, attempt } = fakeWays();
  for (let i = 0; i < 3; i++) attempt()();
  expect([opened, dropped]).toEqual([
    ["ws", "connect", "ws"],
    ["ws", "connect", "ws"],
  ]);
});

test("a bridge that worked before and stays silent once gets another try", () => {
  const { opened, attempt, hello } = fakeWays();
  const drop = attempt();
  hello();
  drop();
  for (let i = 0; i < 3; i++) attempt()();
  expect(opened).toEqual(["ws", "ws", "ws", "connect"]);
});
