import { getEventListeners } from "node:events";
import { afterEach, describe, expect, test, vi } from "vitest";
import { settled } from "../fake-clock.ts";
import { caughtUp, fakeSession, hello, message, positionAt } from "../fake-streams.ts";

describe("In a page,", () => {
  afterEach(() => vi.unstubAllGlobals());

  function fakePage() {
    const document = Object.assign(new EventTarget(), { hidden: false });
    const window = new EventTarget();
    const connection = Object.assign(new EventTarget(), { type: "wifi" });
    vi.stubGlobal("document", document);
    vi.stubGlobal("navigator", { connection });
    vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
    const pagehide = (persisted: boolean) => window.dispatchEvent(Object.assign(new Event("pagehide"), { persisted }));
    return { document, window, connection, pagehide };
  }

  test.each(["online", "pageshow", "visibilitychange", "resume"])(
    "the event %s ends a back-off delay",
    async (type) => {
      const { document, window } = fakePage();
      const { session, stream, streams } = fakeSession();
      (await stream()).end("unavailable");
      (["visibilitychange", "resume"].includes(type) ? document : window).dispatchEvent(new Event(type));
      await stream();
      expect([streams.length, session.state.value]).toEqual([2, "connecting"]);
    },
  );

  test("the event online does not end a delay that the server named", async () => {
    const { window } = fakePage();
    const { session, stream } = fakeSession();
    (await stream()).send({ type: "goAway", reconnectAfter: 3_000 });
    window.dispatchEvent(new Event("online"));
    expect(session.state.value).toBe("held");
  });

  test("the event visibilitychange detects a dead stream at once after the machine slept", async () => {
    const { document } = fakePage();
    const { session, clock, stream } = fakeSession();
    (await stream()).send(hello({ heartbeatInterval: 1_000 }), caughtUp);
    document.dispatchEvent(new Event("visibilitychange"));
    expect(session.state.value).toBe("live");
    clock.sleep(3_600_000);
    document.dispatchEvent(new Event("visibilitychange"));
    expect(session.state.value).toBe("waiting");
  });

  test.each(["pagehide", "freeze"])("the event %s drops the stream before the page is stopped", async (type) => {
    const { document, window, pagehide } = fakePage();
    const saved: string[] = [];
    const { session, clock, stream, streams, errors } = fakeSession({
      storage: { load: () => null, save: (text) => void saved.push(text) },
    });
    const open = await stream();
    open.send(hello(), caughtUp, message(2));
    const stop = () => (type === "pagehide" ? pagehide(true) : document.dispatchEvent(new Event(type)));
    stop();
    expect([session.state.value, open.dropped]).toEqual(["frozen", true]);
    if (type === "pagehide") expect(saved).toEqual([JSON.stringify([positionAt(2)])]);
    await clock.advance(600_000);
    expect([session.state.value, streams.length]).toEqual(["frozen", 1]);
    if (type === "pagehide") window.dispatchEvent(new Event("pageshow"));
    else document.dispatchEvent(new Event("resume"));
    const next = await stream();
    expect(next.request.positions).toEqual([positionAt(2)]);
    next.send(hello(), caughtUp, message(3));
    expect([session.state.value, errors]).toEqual(["live", []]);
  });

  test("the event pagehide of a page that is not kept leaves the stream to the browser", async () => {
    const { pagehide } = fakePage();
    const { session, stream } = fakeSession();
    (await stream()).send(hello(), caughtUp);
    pagehide(false);
    expect(session.state.value).toBe("live");
  });

  test.each(["idle", "authorizing", "connecting", "waiting", "held"])(
    "a page that is stopped while %s opens no stream before it is back, and then goes on from its positions",
    async (state) => {
      const { window, pagehide } = fakePage();
      const loaded = Promise.withResolvers<string>();
      const tokens = Promise.withResolvers<string>();
      const { session, clock, stream, streams } = fakeSession({
        storage: { load: () => loaded.promise, save: () => {} },
        token: () => tokens.promise,
      });
      const arrive = async () => {
        if (state === "idle") return;
        loaded.resolve(JSON.stringify([positionAt(7)]));
        await settled();
        if (state === "authorizing") return;
        tokens.resolve("token");
        await settled();
        if (state === "waiting") streams[0]?.end("unavailable");
        if (state === "held") streams[0]?.send({ type: "goAway", reconnectAfter: 3_000 });
      };
      await arrive();
      expect(session.state.value).toBe(state);
      const before = streams.length;
      pagehide(true);
      loaded.resolve(JSON.stringify([positionAt(7)]));
      tokens.resolve("token");
      await clock.advance(60_000);
      expect([session.state.value, streams.length]).toEqual(["frozen", before]);
      window.dispatchEvent(new Event("pageshow"));
      expect((await stream()).request.positions).toEqual([positionAt(7)]);
    },
  );

  test("a page that returns while its positions are still being read waits for them", async () => {
    const { window, pagehide } = fakePage();
    const loaded = Promise.withResolvers<string>();
    const { session, stream } = fakeSession({ storage: { load: () => loaded.promise, save: () => {} } });
    pagehide(true);
    window.dispatchEvent(new Event("pageshow"));
    await settled();
    expect(session.state.value).toBe("authorizing");
    loaded.resolve(JSON.stringify([positionAt(7)]));
    expect((await stream()).request.positions).toEqual([positionAt(7)]);
  });

  test("a connection of another type puts the stream in doubt, another estimate of its speed does not", async () => {
    const { connection } = fakePage();
    const { stream } = fakeSession({ probes: true });
    const open = await stream();
    open.send(hello(), caughtUp);
    connection.dispatchEvent(new Event("change"));
    expect(open.probes).toBe(0);
    connection.type = "cellular";
    connection.dispatchEvent(new Event("change"));
    connection.dispatchEvent(new Event("change"));
    expect(open.probes).toBe(1);
  });

  test("hiding the page saves the positions, and close() removes all event listeners", async () => {
    const { document, window, connection, pagehide } = fakePage();
    const saved: string[] = [];
    const { session, stream, streams } = fakeSession({
      storage: { load: () => null, save: (text) => void saved.push(text) },
    });
    const open = await stream();
    open.send(hello(), caughtUp, message(2));
    document.hidden = true;
    document.dispatchEvent(new Event("visibilitychange"));
    expect(saved).toEqual([JSON.stringify([positionAt(2)])]);
    open.end("unavailable");
    session.close();
    window.dispatchEvent(new Event("online"));
    pagehide(true);
    await settled();
    expect([streams.length, session.state.value]).toEqual([1, "closed"]);
    for (const [target, types] of [
      [document, ["visibilitychange", "freeze", "resume"]],
      [window, ["online", "pageshow", "pagehide"]],
      [connection, ["change"]],
    ] as const) {
      for (const type of types) expect(getEventListeners(target, type)).toEqual([]);
    }
  });
});
