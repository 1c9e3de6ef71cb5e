import { expect, test } from "vitest";
import type { StreamSink } from "../../../src/client/events.ts";
import { autoStream } from "../../../src/client/streams/auto.ts";
import { type ErrorCode, type ErrorExtras, TidingsError } from "../../../src/client/tidings-error.ts";
import { hello } from "../fake-streams.ts";

/** Fakes of both transports, with a log of the streams opened and dropped. */
function fakeTransports() {
  const opened: string[] = [];
  const dropped: string[] = [];
  const sinks: StreamSink<string>[] = [];
  const transport = (name: string) => (_request: unknown, given: StreamSink<string>) => {
    opened.push(name);
    sinks.push(given);
    return { drop: () => void dropped.push(name), probe: () => name === "ws" };
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
    sinks,
    hello: () => sinks.at(-1)?.event(hello()),
    lose: (message = "lost", extras: ErrorExtras = {}, code: ErrorCode = "unavailable") =>
      sinks.at(-1)?.end(new TidingsError(code, message, extras)),
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
    const stream = attempt();
    lose();
    lose();
    stream.drop();
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
  attempt().drop();
  opened.length = 0;
  attempt();
  lose("draining", { reason: "SERVER_DRAINING" });
  expect([opened, ends]).toEqual([["connect"], ["draining"]]);
  attempt();
  expect(opened).toEqual(["connect", "connect"]);
});

test("A transport that stays silent is replaced by the other one at the next attempt", () => {
  const { opened, dropped, attempt } = fakeTransports();
  for (let i = 0; i < 3; i++) attempt().drop();
  expect([opened, dropped]).toEqual([
    ["ws", "connect", "ws"],
    ["ws", "connect", "ws"],
  ]);
});

test("A bridge that worked before and stays silent once is tried again", () => {
  const { opened, attempt, hello } = fakeTransports();
  const stream = attempt();
  hello();
  stream.drop();
  for (let i = 0; i < 3; i++) attempt().drop();
  expect(opened).toEqual(["ws", "ws", "ws", "connect"]);
});

test("The bridge is dropped before Connect follows it, and heard no more", () => {
  const { opened, dropped, ends, sinks, attempt } = fakeTransports();
  const stream = attempt();
  sinks[0]?.end(new TidingsError("unavailable", "malformed"));
  sinks[0]?.event(hello());
  sinks[0]?.end(new TidingsError("unavailable", "closed"));
  expect([opened, dropped, ends]).toEqual([["ws", "connect"], ["ws"], []]);
  stream.drop();
  expect(dropped).toEqual(["ws", "connect"]);
});

test("A probe goes to the transport in use", () => {
  const { attempt, lose } = fakeTransports();
  const stream = attempt();
  expect(stream.probe()).toBe(true);
  lose();
  expect(stream.probe()).toBe(false);
});
