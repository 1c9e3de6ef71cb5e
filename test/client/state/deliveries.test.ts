import { describe, expect, test } from "vitest";
import { RoomJoins } from "../../../src/client/state/rooms.ts";
import { settled } from "../fake-clock.ts";
import { caughtUp, fakeSession, hello, message, positionAt } from "../fake-streams.ts";

/** A storage in memory that records every save. */
function memoryStorage(text: string | null = null) {
  const saved: string[] = [];
  return {
    saved,
    load: () => saved.at(-1) ?? text,
    save: (next: string) => void saved.push(next),
    get positions() {
      return JSON.parse(saved.at(-1) ?? "null");
    },
  };
}

describe("The storage", () => {
  test("gives its positions to the next client", async () => {
    const storage = memoryStorage();
    const first = fakeSession({ storage });
    (await first.stream()).send(hello(), caughtUp, message(7), { type: "heartbeat", positions: [positionAt(11)] });
    first.session.close();
    const second = fakeSession({ storage: { ...storage, load: () => Promise.resolve(storage.load()) } });
    const open = await second.stream();
    expect(open.request.positions).toEqual([positionAt(11)]);
    open.send(hello(), message(11), message(12), caughtUp);
    expect(second.messages).toEqual(["m12"]);
  });

  test("is written once for many messages, after a short delay", async () => {
    const storage = memoryStorage();
    const { clock, stream } = fakeSession({ storage });
    (await stream()).send(hello(), ...Array.from({ length: 500 }, (_, i) => message(i + 1)), caughtUp);
    expect(storage.saved).toEqual([]);
    await clock.advance(250);
    expect(storage.saved).toEqual([JSON.stringify([positionAt(500)])]);
  });

  test("gets one write at a time, and the last positions in the end", async () => {
    const writes: { text: string; done: () => void }[] = [];
    const save = (text: string) => new Promise<void>((done) => void writes.push({ text, done }));
    const { session, clock, stream } = fakeSession({ storage: { load: () => null, save } });
    const open = await stream();
    open.send(hello(), caughtUp, message(1));
    await clock.advance(250);
    open.send(message(2), message(3));
    session.close();
    await settled();
    expect(writes.length).toBe(1);
    writes[0]?.done();
    await settled();
    expect(writes.map(({ text }) => JSON.parse(text))).toEqual([[positionAt(1)], [positionAt(3)]]);
  });

  test("that fails is reported once, and the client continues without it", async () => {
    const save = () => Promise.reject(new Error("full"));
    const load = () => {
      throw new Error("locked");
    };
    const { clock, stream, errors, messages } = fakeSession({ storage: { load, save } });
    const open = await stream();
    for (let seq = 1; seq < 5; seq++) {
      open.send(seq === 1 ? hello() : caughtUp, message(seq));
      await clock.advance(1_000);
    }
    expect(messages.length).toBe(4);
    expect(errors.map((error) => error.message)).toEqual(["storage: locked"]);
  });

  test("is not erased by a client that is closed before it has read it", async () => {
    const loading = Promise.withResolvers<string>();
    const storage = { ...memoryStorage(), load: () => loading.promise };
    const { session, streams } = fakeSession({ storage });
    session.close();
    loading.resolve(JSON.stringify([positionAt(5)]));
    await settled();
    expect([storage.saved, streams.length, session.state.value]).toEqual([[], 0, "closed"]);
  });

  test("may hold positions of rooms that are not joined, which are not sent", async () => {
    const room = (id: string) => ({ feed: `room/${id}`, epoch: 1, seq: "3" });
    const storage = memoryStorage(JSON.stringify([positionAt(5), room("a"), room("b")]));
    const { stream } = fakeSession({ storage, rooms: new RoomJoins([{ roomId: "b" }]) });
    expect((await stream()).request.positions).toEqual([positionAt(5), room("b")]);
  });
});

describe("A loop over events()", () => {
  test("consumes an event when it asks for the next one", async () => {
    const storage = memoryStorage();
    const { session, clock, stream } = fakeSession({ storage });
    const loop = session.intake.deliveries.read();
    (await stream()).send(hello(), caughtUp, message(1), message(2), { type: "heartbeat", positions: [positionAt(9)] });
    for (const type of ["hello", "caughtUp", "message"]) expect((await loop.next()).value).toMatchObject({ type });
    await clock.advance(250);
    expect(storage.saved).toEqual([]);
    await loop.next();
    await clock.advance(250);
    expect(storage.positions).toEqual([positionAt(1)]);
    void loop.next();
    await settled();
    await clock.advance(250);
    expect(storage.positions).toEqual([positionAt(9)]);
  });

  test("that is slow pauses the stream, and loses and repeats no message", async () => {
    const { session, stream, streams, messages } = fakeSession({ queueLimit: 10 });
    const loop = session.intake.deliveries.read();
    const got: string[] = [];
    const paused: number[] = [];
    let next = loop.next();
    while (got.length < 100) {
      // Each stream sends every message after its start position, which is more than the queue holds.
      const open = await stream();
      const from = Number(open.request.positions[0]?.seq ?? 0);
      open.send(hello(), ...Array.from({ length: 100 - from }, (_, i) => message(from + i + 1)));
      if (open.dropped) paused.push(streams.length);
      else expect(from).toBeGreaterThanOrEqual(90);
      while (session.state.value !== "replaying" || got.length < 100) {
        const { value } = await next;
        if (value?.type === "message") got.push(value.message);
        next = loop.next();
        await settled();
        if (session.state.value === "connecting") break;
      }
    }
    expect(paused.length).toBeGreaterThan(5);
    expect(got).toEqual(Array.from({ length: 100 }, (_, i) => `m${i + 1}`));
    expect(messages).toEqual(got);
    session.close();
    expect((await next).done).toBe(true);
  });

  test("that stands still accumulates no heartbeats", async () => {
    const storage = memoryStorage();
    const { session, clock, stream } = fakeSession({ storage, queueLimit: 2 });
    const loop = session.intake.deliveries.read();
    const open = await stream();
    open.send(hello(), caughtUp);
    for (let seq = 1; seq <= 50; seq++) open.send({ type: "heartbeat", positions: [positionAt(seq)] });
    expect(session.state.value).toBe("live");
    for (let i = 0; i < 2; i++) await loop.next();
    void loop.next();
    await settled();
    await clock.advance(250);
    expect(storage.saved).toEqual([JSON.stringify([positionAt(50)])]);
  });

  test("that is left early closes the client, and the next client gets the current event again", async () => {
    const storage = memoryStorage();
    const first = fakeSession({ storage });
    const loop = first.session.intake.deliveries.read();
    (await first.stream()).send(hello(), caughtUp, message(1), message(2), message(3));
    for await (const event of loop) {
      if (event.type === "message" && event.message === "m2") break;
    }
    expect([first.session.state.value, first.clock.pending]).toEqual(["closed", []]);
    const second = fakeSession({ storage });
    expect((await second.stream()).request.positions).toEqual([positionAt(1)]);
  });

  test("that closes the client has consumed the current event", async () => {
    const storage = memoryStorage();
    const { session, stream } = fakeSession({ storage });
    const loop = session.intake.deliveries.read();
    (await stream()).send(hello(), caughtUp, message(1), message(2));
    for await (const event of loop) if (event.type === "message") session.close();
    expect(storage.positions).toEqual([positionAt(1)]);
  });

  test("does not get an event whose listener closed the client, and the next client gets it again", async () => {
    const storage = memoryStorage();
    const { session, stream } = fakeSession({ storage });
    const loop = session.intake.deliveries.read();
    session.intake.listeners.add("message", () => session.close());
    (await stream()).send(hello(), caughtUp, message(1));
    for await (const event of loop) expect.unreachable(event.type);
    expect(storage.saved).toEqual([]);
  });

  test("delays the positions that a faster loop has consumed until it has consumed them, too", async () => {
    const storage = memoryStorage();
    const { session, clock, stream } = fakeSession({ storage });
    const loops = [session.intake.deliveries.read(), session.intake.deliveries.read()];
    (await stream()).send(hello(), message(1), message(2), caughtUp);
    const [fast, slow] = loops;
    for (let i = 0; i < 4; i++) await fast?.next();
    for (let i = 0; i < 3; i++) await slow?.next();
    await clock.advance(250);
    expect(storage.positions).toEqual([positionAt(1)]);
  });

  test("of a closed client ends at once", async () => {
    const { session } = fakeSession();
    session.close();
    for await (const event of session.intake.deliveries.read()) expect.unreachable(event.type);
  });
});
