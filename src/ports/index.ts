/**
 * The ports of a node: interfaces to what is outside of it. An adapter is a class that implements one of them. Each port
 * states its laws in its own file, and src/testing/ runs them against any adapter. These rules hold for all ports:
 *
 * - Values are immutable. Neither side changes an argument, a result or a buffer in it after handing it over, and either
 *   side may keep it for any length of time without copying it.
 * - Methods may be called again before earlier calls have settled, in any number. Where the order of such calls matters,
 *   the method says so.
 * - Tenants, users, feeds, keys and ids are opaque strings of any Unicode characters, line breaks included; the empty
 *   string and `__proto__` are names like others. Strings that differ name different things, unless the port says that
 *   case does not matter.
 * - Times are milliseconds since the Unix epoch and may have fractions; durations are milliseconds unless they are named
 *   otherwise. Infinity stands for never.
 * - Errors are made by `fail` of src/errors.ts. Anything else that an adapter throws is a bug, and answered as INTERNAL.
 * - `close` may be called more than once and while calls are in flight. Every call of it settles when the port is closed.
 */
import type { Bus } from "./bus.ts";
import type { Presence } from "./presence.ts";
import type { RateLimiter } from "./rate-limiter.ts";
import type { Store } from "./store.ts";

/** The ports that every node has. */
export interface Ports {
  readonly store: Store;
  readonly bus: Bus;
  readonly presence: Presence;
  /** Undefined for a node that limits no rates. */
  readonly limiter?: RateLimiter | undefined;
}
