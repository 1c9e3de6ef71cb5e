/**
 * Watches the page for signs that a retry can succeed now, that its connection may be dead, or that the page is about
 * to end. Does nothing outside a browser.
 */

/** The callbacks of watchPage. */
export interface PageHooks {
  /** The page runs again, is visible again or, where it `moved`, may be on another network. */
  wake(moved: boolean): void;
  /** The page is hidden; the browser may discard it without another event. */
  leave(): void;
  /** The browser is about to stop the page: it enters the back-forward cache, or is frozen in the background. */
  hide(): void;
}

/** Watches the page until the signal is aborted. */
export function watchPage({ wake, leave, hide }: PageHooks, signal: AbortSignal): void {
  // The global object of Node has no such function.
  const listen = (target: EventTarget | undefined, type: string, listener: (event: Event) => void) =>
    target?.addEventListener?.(type, listener, { signal });
  const awake = () => wake(false);
  const moved = () => wake(true);
  const { document: page, navigator } = globalThis;
  listen(globalThis as unknown as EventTarget, "online", moved);
  listen(globalThis as unknown as EventTarget, "pageshow", awake);
  listen(globalThis as unknown as EventTarget, "pagehide", (event) => {
    leave();
    if ((event as PageTransitionEvent).persisted) hide();
  });
  listen(page, "visibilitychange", () => (page.hidden ? leave() : awake()));
  listen(page, "freeze", hide);
  listen(page, "resume", awake);
  // Chrome only. `change` also fires when an estimate of the speed changes.
  const { connection } = (navigator ?? {}) as { connection?: EventTarget & { readonly type?: string } };
  let network = connection?.type;
  listen(connection, "change", () => {
    if (network !== connection?.type) moved();
    network = connection?.type;
  });
}
