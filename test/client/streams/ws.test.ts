import { expect, test } from "vitest";
import { jsonCodec } from "../../../src/client/codec/json.ts";
import { protoCodec } from "../../../src/client/codec/proto.ts";
import { type FrameCodec, type Socket, webSocketStream } from "../../../src/client/streams/ws.ts";
import { settled } from "../fake-clock.ts";

/** A socket without a network. */
class FakeSocket implements Socket {
  static last: FakeSocket;
  binaryType = "blob";
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  readonly sent: unknown[] = [];
  closed = 0;

  constructor() {
    FakeSocket.last = this;
  }

  send(data: unknown): void {
    this.sent.push(data);
  }

  close(): void {
    this.closed += 1;
  }

  emit(type: "onopen" | "onmessage" | "onclose", event: unknown = {}): void {
    this[type]?.(event as never);
  }
}

function open<M>(codec: FrameCodec<M>, Constructor: new () => Socket = FakeSocket) {
  const events: unknown[] = [];
  const ends: string[] = [];
  const { drop, probe } = webSocketStream(
    "ws://x/ws",
    codec,
    Constructor,
  )(
    { token: "t", positions: [{ feed: "user", epoch: 1, seq: "5" }], rooms: [{ roomId: "a", mode: "last" }] },
    { event: (event) => void events.push(event), end: ({ code }) => void ends.push(code) },
  );
  return { events, ends, drop, probe, socket: FakeSocket.last };
}

test("The first frame holds the token and the request", () => {
  const { socket } = open(jsonCodec({ onlineCount: true }));
  expect(socket.sent).toEqual([]);
  socket.emit("onopen");
  expect(socket.sent.map((frame) => JSON.parse(String(frame)))).toEqual([
    {
      token: "t",
      subscribe: {
        onlineCount: true,
        positions: [{ feed: "user", epoch: 1, seq: "5" }],
        rooms: [{ roomId: "a", mode: "ROOM_MODE_LAST" }],
      },
    },
  ]);
});

test.each([
  ["", jsonCodec({})],
  ["{", jsonCodec({})],
  ["null", jsonCodec({})],
  ['{"message":{"position":{"seq":"x"}}}', jsonCodec({})],
  ['{"heartbeat":{"positions":[{"seq":"-1"}]}}', jsonCodec({})],
  [new ArrayBuffer(0), jsonCodec({})],
  ["{}", protoCodec({})],
  [new Uint8Array([255, 255]).buffer, protoCodec({})],
])("A malformed frame ends the stream with an internal error: %j", (data, codec) => {
  const { events, ends, socket } = open(codec as FrameCodec<unknown>);
  socket.emit("onmessage", { data });
  expect([events, ends]).toEqual([[], ["internal"]]);
});

test("An event of a newer server is ignored", () => {
  const { events, ends, socket } = open(jsonCodec({}));
  socket.emit("onmessage", { data: '{"fireworks":{}}' });
  expect([events, ends]).toEqual([[{ type: "unknown" }], []]);
});

test("Dropping a stream closes its socket", () => {
  const { socket, drop } = open(jsonCodec({}));
  drop();
  expect(socket.closed).toBe(1);
});

test.each([
  [jsonCodec({}), "{}"],
  [protoCodec({}), new Uint8Array()],
])("A probe sends a frame without content", (codec, frame) => {
  const { socket, probe } = open(codec as FrameCodec<unknown>);
  socket.emit("onopen");
  expect([probe(), socket.sent.slice(1)]).toEqual([true, [frame]]);
});

test("A constructor that throws, as a content security policy makes it, ends the stream with an error", async () => {
  class Forbidden extends FakeSocket {
    constructor() {
      super();
      throw new Error("forbidden");
    }
  }
  const { ends } = open(jsonCodec({}), Forbidden);
  expect(ends).toEqual([]);
  await settled();
  expect(ends).toEqual(["unavailable"]);
});
