import { Kind } from "../../src/client/index.ts";
import type { Observable } from "../../src/client/state/observable.ts";
import type { EventInit } from "./fake-server.ts";

/** Resolves when the value satisfies the condition. */
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
export const positionAt = (seq: number) => ({ feed: "user", epoch: 1, seq: String(seq) });
/** A Hello with this number of unread messages. */
export const hello = (total: number): EventInit => ({
  case: "hello",
  value: {
    subscriptionId: "s1",
    heartbeatInterval: seconds(25),
    unread: { total, byCategory: { a: total }, version: "4" },
    online: { users: 2, connections: 3 },
    positions: [positionAt(0)],
  },
});
/** A CaughtUp. */
export const caughtUp: EventInit = { case: "caughtUp", value: {} };
/** A notification at this position in the user's feed. */
export const message = (seq: number): EventInit => ({
  case: "message",
  value: { id: `m${seq}`, kind: Kind.NOTIFICATION, category: "a", title: `title ${seq}`, position: positionAt(seq) },
});
