import { Writable } from "node:stream";
import { expect, test, vi } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { tenantFeed } from "../../src/feeds/feed.ts";
import { FlushQueue } from "../../src/wire/flush-queue.ts";
import { webSocketProto } from "../../src/wire/formats.ts";
import { eventFrame } from "../../src/wire/frame.ts";
import { SocketSink } from "../../src/wire/socket-sink.ts";
import { toTenant, toUser, userOf, withTestCore } from "../support/core.ts";

const ann = userOf("acme");

test("A stream counts as lagging while its reader takes nothing, and no longer", () =>
  withTestCore(async (node) => {
    const { streams } = node.core.context;
    const local = () => streams.figures().get("local");
    const reader = await node.live(ann);
    await vi.waitFor(() => expect(local()).toEqual({ open: 1, lagging: 0, queued: 0 }));
    reader.pause();
    await node.publishMany("acme", toUser("ann"), 200);
    await vi.waitFor(() => expect(local()?.lagging).toBe(1)).finally(() => reader.resume());
    await reader.until(({ messages }) => messages.length === 200);
    await vi.waitFor(() => expect(local()).toEqual({ open: 1, lagging: 0, queued: 0 }));
    expect(streams.delivered).toBe(200);
  }));

test("Messages that a stream's filter leaves out do not count as delivered", () =>
  withTestCore(async (node) => {
    const reader = await node.live(ann, { kinds: [Kind.EVENT] });
    await node.publish("acme", toUser("ann"), { kind: Kind.NOTIFICATION });
    await node.publish("acme", toUser("ann"), { kind: Kind.EVENT, event: "ping" });
    await reader.until(({ messages }) => messages.length === 1);
    expect(node.core.context.streams.delivered).toBe(1);
  }));

test("Reads of missed messages are counted while they are in flight, and while they wait for a slot", async () => {
  const held: (() => void)[] = [];
  const around = async <T>(method: string, call: () => Promise<T>): Promise<T> => {
    if (method === "read") await new Promise<void>((resolve) => held.push(resolve));
    return call();
  };
  await withTestCore(
    async (node) => {
      const users = Array.from({ length: 40 }, (_, index) => `u${index}`);
      for (const user of users) await node.publish("acme", toUser(user));
      const { history } = node.core.context;
      const position = { feed: "user", epoch: 0, seq: "0" };
      const readers = users.map((user) => node.subscribe(userOf("acme", user), { positions: [position] }));
      await vi.waitFor(() => expect(history.figures).toMatchObject({ reading: 32, waiting: 8 }));
      expect(node.core.context.streams.figures().get("local")).toEqual({ open: 40, lagging: 40, queued: 0 });
      const release = () => {
        for (const go of held.splice(0)) go();
      };
      release();
      await vi.waitFor(() => expect(held).toHaveLength(8));
      release();
      for (const reader of readers) await reader.first("caughtUp");
      expect(history.figures).toMatchObject({ reading: 0, waiting: 0 });
      expect(history.figures.bytes).toBeGreaterThan(40 * 512);
    },
    { around },
  );
});

test("The pages of history count the encodings that streams have asked for", () =>
  withTestCore(async (node) => {
    await node.publishMany("acme", toTenant, 20);
    const { history } = node.core.context;
    const page = await history.read(tenantFeed("acme"), 0, 20);
    const { bytes } = history.figures;
    const encoded = page.frames.reduce((sum, frame) => sum + frame.encoded(webSocketProto).length, 0);
    await history.read(tenantFeed("acme"), 0, 20);
    expect(history.figures.bytes).toBeGreaterThan(bytes + encoded);
  }));

test("The messages of a user leave memory when every stream of the user has taken them", () =>
  withTestCore(async (node) => {
    const { rings } = node.core.context;
    const [page, phone] = [await node.live(ann), await node.live(ann)];
    phone.pause();
    await node.publishMany("acme", toUser("ann"), 200);
    await page.until(({ messages }) => messages.length === 200);
    await vi.waitFor(() => expect(rings.bytes).toBeGreaterThan(50 * 2048)).finally(() => phone.resume());
    await phone.until(({ messages }) => messages.length === 200);
    await vi.waitFor(() => expect(rings.bytes).toBe(0));
    expect([node.called("read"), rings.evictions]).toEqual([0, 0]);
  }));

test("A node without memory for recent messages delivers them all the same, from the store where a reader lags", () =>
  withTestCore(
    async (node) => {
      const { rings } = node.core.context;
      const [page, phone] = [await node.live(ann), await node.live(ann)];
      phone.pause();
      await node.publishMany("acme", toTenant, 200);
      await page.until(({ messages }) => messages.length === 200);
      phone.resume();
      await phone.until(({ messages }) => messages.length === 200);
      const seqs = Array.from({ length: 200 }, (_, index) => String(index + 1));
      for (const reader of [page, phone]) expect(reader.messages.map(({ position }) => position?.seq)).toEqual(seqs);
      await vi.waitFor(() => expect(rings.bytes).toBe(0));
      expect(rings.evictions).toBeGreaterThan(0);
    },
    { ringBytes: 0 },
  ));

test("The queued bytes of a transport are those that its reader has not taken", () => {
  let take: () => void = () => {};
  const slow = new Writable({ write: (_chunk, _encoding, done) => (take = done) });
  const sink = new SocketSink(slow, webSocketProto, new FlushQueue(setImmediate));
  expect(sink.queued).toBe(0);
  const frame = eventFrame({ case: "goAway", value: { reason: "x".repeat(100) } } as never);
  sink.write([frame]);
  sink.write([frame]);
  expect(sink.queued).toBe(2 * frame.encoded(webSocketProto).length);
  take();
  expect(sink.queued).toBe(frame.encoded(webSocketProto).length);
  slow.destroy();
});

test("A node that drains reports that it drains", () =>
  withTestCore(async (node) => {
    const { streams } = node.core.context;
    expect(streams.draining).toBe(false);
    await node.core.drain();
    expect(streams.draining).toBe(true);
  }));
