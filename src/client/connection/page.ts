/**
 * Watches the page for signs that a retry can succeed now, or that the page is about to end. Does nothing outside a
 * browser.
 */

/** The callbacks of watchPage. */
export interface PageHooks {
  /** The network is back, or the page is visible again. */
  wake(): void;
  /** The page is hidden; the browser may discard it without another event. */
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
    // A page that returns from the back-forward cache has lost its connections.
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
