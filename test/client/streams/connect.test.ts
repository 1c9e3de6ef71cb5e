import { create } from "@bufbuild/protobuf";
import { ConnectError, type Transport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  PushService,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import { transportCaller } from "../../../src/client/calls/caller.ts";
import { connectStream } from "../../../src/client/streams/connect.ts";
import { settled } from "../fake-clock.ts";

const heartbeat = create(SubscribeResponseSchema, { event: { case: "heartbeat", value: {} } });

/** A transport whose stream does what it is told and ignores its signal, as one in the middle of a read may. */
function fakeTransport() {
  const asked: { timeoutMs: number | undefined; authorization: string | null; positions: unknown }[] = [];
  const turns: PromiseWithResolvers<SubscribeResponse | undefined>[] = [];
  const turn = (i: number) => {
    const made = turns[i] ?? Promise.withResolvers<SubscribeResponse | undefined>();
    turns[i] = made;
    return made;
  };
  async function* responses() {
    for (let i = 0; ; i++) {
      const response = await turn(i).promise;
      if (response === undefined) return;
      yield response;
    }
  }
  const stream = async (...args: Parameters<Transport["stream"]>) => {
    const [method, , timeoutMs, headers, input] = args;
    for await (const request of input) {
      const { positions } = request as { positions?: unknown };
      asked.push({ timeoutMs, authorization: new Headers(headers).get("authorization"), positions });
    }
    return {
      stream: true,
      service: PushService,
      method,
      header: new Headers(),
      trailer: new Headers(),
      message: responses(),
    };
  };
  const transport = { stream, unary: () => Promise.reject(new Error("not here")) } as unknown as Transport;
  const events: string[] = [];
  const ends: string[] = [];
  const drop = connectStream(transportCaller(transport), {})(
    { token: "t", positions: [{ feed: "user", epoch: 1, seq: "5" }], rooms: [] },
    { event: ({ type }) => void events.push(type), end: ({ code, message }) => void ends.push(`${code}: ${message}`) },
  );
  return { asked, turn, events, ends, drop };
}

describe("a Connect stream", () => {
  test("carries the token, the positions, and no deadline", async () => {
    const { asked } = fakeTransport();
    await settled();
    expect(asked).toEqual([
      { timeoutMs: 0, authorization: "Bearer t", positions: [{ feed: "user", epoch: 1, seq: "5" }] },
    ]);
  });

  test("that ends without an error has been lost all the same", async () => {
    const { turn, events, ends } = fakeTransport();
    turn(0).resolve(heartbeat);
    turn(1).resolve(undefined);
    await settled();
    expect([events, ends]).toEqual([["heartbeat"], ["unavailable: the stream ended"]]);
  });

  test("that is canceled from outside has been lost, too", async () => {
    const { turn, ends } = fakeTransport();
    turn(0).reject(new ConnectError("http/2 stream closed", 1));
    await settled();
    expect(ends).toEqual(["canceled: http/2 stream closed"]);
  });

  test("says nothing after it was dropped: no event, no error", async () => {
    const { turn, events, ends, drop } = fakeTransport();
    turn(0).resolve(heartbeat);
    await settled();
    drop();
    turn(1).resolve(heartbeat);
    await settled();
    const other = fakeTransport();
    other.drop();
    other.turn(0).reject(new Error("late"));
    await settled();
    expect([events, ends, other.ends]).toEqual([["heartbeat"], [], []]);
  });
});
