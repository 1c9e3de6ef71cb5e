import { expect, test } from "vitest";
import type { StreamSink } from "../../../src/client/events.ts";
import { autoStream } from "../../../src/client/streams/auto.ts";
import { type ErrorCode, type ErrorExtras, TidingsError } from "../../../src/client/tidings-error.ts";
import { hello } from "../fake-streams.ts";

/** Fakes of both transports, with a log of the streams opened and dropped. */
function fakeTransports() {
  const opened: string[] = [];
  const dropped: string[] = [];
  let sink: StreamSink<string> | undefined;
  const transport = (name: string) => (_request: unknown, given: StreamSink<string>) => {
    opened.push(name);
    sink = given;
    return () => void dropped.push(name);
  };
  const open = autoStream<string>(transport("ws"), transport("connect"));
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

test("A bridge that fails before Hello is followed by Connect in the same attempt", () => {
  const { opened, ends, attempt, lose } = fakeTransports();
  attempt();
  lose("ws");
  lose("connect");
  expect([opened, ends]).toEqual([["ws", "connect"], ["connect"]]);
});

test("When both transports fail, the next attempt starts with the bridge again", () => {
  const { opened, attempt, lose } = fakeTransports();
  for (let i = 0; i < 2; i++) {
    const drop = attempt();
    lose();
    lose();
    drop();
  }
  expect(opened).toEqual(["ws", "connect", "ws", "connect"]);
});

test("A transport that delivered a Hello is used alone until it fails before Hello", () => {
  const { opened, attempt, hello, lose } = fakeTransports();
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

test("An error of a proxy is no answer of the server, so the other transport is tried", () => {
  const { opened, attempt, hello, lose } = fakeTransports();
  attempt();
  lose();
  hello();
  lose();
  attempt();
  lose("404", {}, "unimplemented");
  attempt();
  expect(opened).toEqual(["ws", "connect", "connect", "ws"]);
});

test("An error of the server ends the attempt, even before Hello", () => {
  const { opened, ends, attempt, lose } = fakeTransports();
  attempt()();
  opened.length = 0;
  attempt();
  lose("draining", { reason: "SERVER_DRAINING" });
  expect([opened, ends]).toEqual([["connect"], ["draining"]]);
  attempt();
  expect(opened).toEqual(["connect", "connect"]);
});

test("A transport that stays silent is replaced by the other one at the next attempt", () => {
  const { opened, dropped, attempt } = fakeTransports();
  for (let i = 0; i < 3; i++) attempt()();
  expect([opened, dropped]).toEqual([
    ["ws", "connect", "ws"],
    ["ws", "connect", "ws"],
  ]);
});

test("A bridge that worked before and stays silent once is tried again", () => {
  const { opened, attempt, hello } = fakeTransports();
  const drop = attempt();
  hello();
  drop();
  for (let i = 0; i < 3; i++) attempt()();
  expect(opened).toEqual(["ws", "ws", "ws", "connect"]);
});
