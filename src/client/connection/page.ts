/** The page's hints that a retry makes sense now, or that its time is up. Outside a browser there are none. */

/** What watchPage reports. */
export interface PageHooks {
  /** The network is back, or the page is in view again. */
  wake(): void;
  /** The page may be gone for good after this. */
  leave(): void;
}

/** Watches the page until the returned function is called. */
export function watchPage(hooks: PageHooks): () => void {
  const stops: (() => void)[] = [];
  const listen = (target: EventTarget, type: string, listener: () => void) => {
    target.addEventListener(type, listener);
    stops.push(() => target.removeEventListener(type, listener));
  };
  if (typeof globalThis.addEventListener === "function") {
    listen(globalThis, "online", hooks.wake);
    // Back from the back-forward cache, where every connection was cut.
    listen(globalThis, "pageshow", hooks.wake);
    listen(globalThis, "pagehide", hooks.leave);
  }
  const page = globalThis.document;
  if (page !== undefined) {
    listen(page, "visibilitychange", () => (page.visibilityState === "hidden" ? hooks.leave() : hooks.wake()));
  }
  return () => {
    for (const stop of stops) stop();
  };
}
