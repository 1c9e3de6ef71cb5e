import { afterEach, describe, expect, test, vi } from "vitest";
import { settled } from "../fake-clock.ts";
import { caughtUp, fakeSession, hello, message, positionAt } from "../fake-streams.ts";

describe("In a page,", () => {
  afterEach(() => vi.unstubAllGlobals());

  function fakePage() {
    const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
    const window = new EventTarget();
    /** The event listeners that were added and not removed. */
    const listening: string[] = [];
    for (const target of [document, window]) {
      const { addEventListener, removeEventListener } = target;
      target.addEventListener = (type: string, listener: EventListener) => {
        listening.push(type);
        addEventListener.call(target, type, listener);
      };
      target.removeEventListener = (type: string, listener: EventListener) => {
        listening.splice(listening.indexOf(type), 1);
        removeEventListener.call(target, type, listener);
      };
    }
    vi.stubGlobal("document", document);
    vi.stubGlobal("addEventListener", window.addEventListener);
    vi.stubGlobal("removeEventListener", window.removeEventListener);
    return { document, window, listening };
  }

  test.each(["online", "pageshow", "visibilitychange"])("the event %s ends a back-off delay", async (type) => {
    const { document, window } = fakePage();
    const { session, stream, streams } = fakeSession();
    (await stream()).end("unavailable");
    (type === "visibilitychange" ? document : window).dispatchEvent(new Event(type));
    await stream();
    expect([streams.length, session.state.value]).toEqual([2, "connecting"]);
  });

  test("the event online does not end a delay that the server named", async () => {
    const { window } = fakePage();
    const { session, stream } = fakeSession();
    (await stream()).send({ type: "goAway", reconnectAfterMs: 3_000 });
    window.dispatchEvent(new Event("online"));
    expect(session.state.value).toBe("held");
  });

  test("the event visibilitychange detects a dead stream at once after the machine slept", async () => {
    const { document } = fakePage();
    const { session, clock, stream } = fakeSession();
    (await stream()).send(hello({ heartbeatMs: 1_000 }), caughtUp);
    document.dispatchEvent(new Event("visibilitychange"));
    expect(session.state.value).toBe("live");
    clock.sleep(3_600_000);
    document.dispatchEvent(new Event("visibilitychange"));
    expect(session.state.value).toBe("waiting");
  });

  test("hiding the page saves the positions, and close() removes all event listeners", async () => {
    const { document, window, listening } = fakePage();
    const saved: string[] = [];
    const { session, stream, streams } = fakeSession({
      storage: { load: () => null, save: (text) => void saved.push(text) },
    });
    const open = await stream();
    open.send(hello(), caughtUp, message(2));
    document.visibilityState = "hidden";
    document.dispatchEvent(new Event("visibilitychange"));
    expect(saved).toEqual([JSON.stringify([positionAt(2)])]);
    open.end("unavailable");
    session.close();
    window.dispatchEvent(new Event("online"));
    await settled();
    expect([streams.length, listening]).toEqual([1, []]);
  });
});
