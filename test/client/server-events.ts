import { Kind } from "../../src/client/index.ts";
import type { Observable } from "../../src/client/state/observable.ts";
import type { EventInit } from "./fake-server.ts";

/** Settles once the value is as wanted. */
export function until<T>(observable: Observable<T>, wanted: (value: T) => boolean): Promise<T> {
  return new Promise((resolve) => {
    let stop = () => {};
    stop = observable.subscribe((value) => {
      if (!wanted(value)) return;
      resolve(value);
      queueMicrotask(() => stop());
    });
  });
}

/** A Duration. */
export const seconds = (amount: number) => ({ seconds: BigInt(amount), nanos: 0 });
/** A position in the user's feed. */
export const place = (seq: number) => ({ feed: "user", epoch: 1, seq: String(seq) });
/** Hello with such a badge. */
export const hello = (total: number): EventInit => ({
  case: "hello",
  value: {
    subscriptionId: "s1",
    heartbeatInterval: seconds(25),
    unread: { total, byCategory: { a: total }, version: "4" },
    online: { users: 2, connections: 3 },
    positions: [place(0)],
  },
});
/** CaughtUp. */
export const caughtUp: EventInit = { case: "caughtUp", value: {} };
/** A notification at such a place. */
export const message = (seq: number): EventInit => ({
  case: "message",
  value: { id: `m${seq}`, kind: Kind.NOTIFICATION, category: "a", title: `title ${seq}`, position: place(seq) },
});
