import { create } from "@bufbuild/protobuf";
import { ConnectError, type Transport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  PushService,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import { transportCaller } from "../../../src/client/calls/caller.ts";
import { readEvent } from "../../../src/client/codec/proto.ts";
import { connectStream } from "../../../src/client/streams/connect.ts";
import { settled } from "../fake-clock.ts";

const heartbeat = create(SubscribeResponseSchema, { event: { case: "heartbeat", value: {} } });

/** A transport whose responses the test resolves, and which ignores its signal, as one in the middle of a read may. */
function fakeTransport() {
  const requests: { timeoutMs: number | undefined; authorization: string | null; positions: unknown }[] = [];
  const reads: PromiseWithResolvers<SubscribeResponse | undefined>[] = [];
  /** The read of the response with this index; undefined ends the stream. */
  const read = (i: number) => {
    const made = reads[i] ?? Promise.withResolvers<SubscribeResponse | undefined>();
    reads[i] = made;
    return made;
  };
  async function* responses() {
    for (let i = 0; ; i++) {
      const response = await read(i).promise;
      if (response === undefined) return;
      yield response;
    }
  }
  const stream = async (...args: Parameters<Transport["stream"]>) => {
    const [method, , timeoutMs, headers, input] = args;
    for await (const request of input) {
      const { positions } = request as { positions?: unknown };
      requests.push({ timeoutMs, authorization: new Headers(headers).get("authorization"), positions });
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
  const caller = transportCaller(transport);
  const { drop, probe } = connectStream(
    ({ token, positions }, signal) => caller.subscribe({ positions: [...positions] }, token, signal),
    readEvent,
  )(
    { token: "t", positions: [{ feed: "user", epoch: 1, seq: "5" }], rooms: [] },
    { event: ({ type }) => void events.push(type), end: ({ code, message }) => void ends.push(`${code}: ${message}`) },
  );
  return { requests, read, events, ends, drop, probe };
}

describe("A Connect stream", () => {
  test("carries the token, the positions, and no deadline", async () => {
    const { requests } = fakeTransport();
    await settled();
    expect(requests).toEqual([
      { timeoutMs: 0, authorization: "Bearer t", positions: [{ feed: "user", epoch: 1, seq: "5" }] },
    ]);
  });

  test("that ends without an error counts as lost", async () => {
    const { read, events, ends } = fakeTransport();
    read(0).resolve(heartbeat);
    read(1).resolve(undefined);
    await settled();
    expect([events, ends]).toEqual([["heartbeat"], ["unavailable: the stream ended"]]);
  });

  test("that was not canceled by the client counts as lost", async () => {
    const { read, ends } = fakeTransport();
    read(0).reject(new ConnectError("http/2 stream closed", 1));
    await settled();
    expect(ends).toEqual(["canceled: http/2 stream closed"]);
  });

  test("gives no event after it was dropped, though its transport goes on", async () => {
    const { read, events, drop } = fakeTransport();
    read(0).resolve(heartbeat);
    await settled();
    drop();
    read(1).resolve(heartbeat);
    await settled();
    expect(events).toEqual(["heartbeat"]);
  });

  test("cannot be probed", () => {
    expect(fakeTransport().probe()).toBe(false);
  });
});
