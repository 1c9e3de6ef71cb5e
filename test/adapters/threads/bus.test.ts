import { expect, test } from "vitest";
import { ThreadBus } from "../../../src/adapters/threads/bus.ts";
import { BusHost } from "../../../src/adapters/threads/bus-host.ts";
import type { BusEvent, EntryNotice } from "../../../src/ports/bus.ts";
import { connectThree } from "../../support/threads.ts";

function openBuses() {
  const host = new BusHost();
  const threads = connectThree((id, port) => host.connect(id, port));
  return threads.map(({ port, result }) => new ThreadBus({ bus: port, cells: result })) as [
    ThreadBus,
    ThreadBus,
    ThreadBus,
  ];
}

function entry(user: string, seq: number, bytes = 10): EntryNotice {
  const feed = { tenant: "t", name: `user/${user}` };
  const body = new Uint8Array(bytes).fill(seq);
  return { type: "entry", feed, epoch: 1, seq, id: `${seq}`, body, expireTime: Number.POSITIVE_INFINITY };
}

function listen(bus: ThreadBus): BusEvent[] {
  const heard: BusEvent[] = [];
  bus.subscribe((event) => event.type !== "lost" && heard.push(event));
  return heard;
}

test("A thread gets no messages about feeds that it does not follow", async () => {
  const [sender, follower, other] = openBuses();
  const [heard, unheard] = [listen(follower), listen(other)];
  for (const bus of [follower, other]) bus.restrict().add({ tenant: "t", name: bus === other ? "tenant" : "user/ann" });
  sender.publish([entry("ann", 1), entry("bob", 2), entry("ann", 3)]);
  sender.publish([{ type: "read", tenant: "t", user: "bob", readIds: [], unreadIds: [], deletedIds: [], all: true }]);
  await expect.poll(() => heard).toEqual([entry("ann", 1), entry("ann", 3)]);
  expect(unheard).toEqual([]);
  expect(sender.figures()).toMatchObject({ sent: 1, dropped: 0 });
  for (const bus of [sender, follower, other]) await bus.close();
});

test("Threads that want the same notices of an event-loop tick get one message each, with the same memory", async () => {
  const [sender, ...others] = openBuses();
  const heard = others.map(listen);
  const sent = [entry("ann", 1), entry("bob", 2, 20_000), entry("ann", 3)];
  for (const notice of sent) sender.publish([notice]);
  for (const events of heard) await expect.poll(() => events).toEqual(sent);
  expect(sender.figures().sent).toBe(2);
  for (const bus of others) expect(bus.figures()).toMatchObject({ heard: 1, losses: 0 });
  // The large body is in shared memory; a small one is a copy, which keeps nothing else in memory.
  for (const events of heard) {
    const [small, large] = events as EntryNotice[];
    expect(large?.body.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(small?.body.buffer.byteLength).toBe(10);
  }
  for (const bus of [sender, ...others]) await bus.close();
});

test("An event-loop tick without other threads packs nothing", async () => {
  const host = new BusHost();
  const [only] = connectThree((id, port) => (id === 1 ? host.connect(id, port) : undefined));
  const bus = new ThreadBus({ bus: only?.port as never, cells: only?.result as SharedArrayBuffer });
  bus.publish([entry("ann", 1)]);
  await new Promise(setImmediate);
  expect(bus.figures()).toMatchObject({ sent: 0, dropped: 0, connected: true });
  await bus.close();
});
