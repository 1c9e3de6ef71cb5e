import type { Bus } from "./bus.ts";
import type { Presence } from "./presence.ts";
import type { RateLimiter } from "./rate-limiter.ts";
import type { Store } from "./store.ts";

/** The methods that an object of each port must have. */
export const portMethods = {
  store: [
    "open",
    "close",
    "append",
    "bounds",
    "read",
    "recall",
    "trim",
    "select",
    "countNotifications",
    "batch",
    "find",
    "readState",
    "saveReadState",
  ],
  bus: ["publish", "subscribe", "close"],
  presence: ["enter", "join", "leave", "count", "connections", "watch", "close"],
  limiter: ["take", "close"],
} as const satisfies {
  readonly store: readonly (keyof Store)[];
  readonly bus: readonly (keyof Bus)[];
  readonly presence: readonly (keyof Presence)[];
  readonly limiter: readonly (keyof RateLimiter)[];
};

/** Returns the name of a method that a backend lacks; undefined for a URL, for no backend, and for one that has them all. */
export function missingMethod(port: keyof typeof portMethods, backend: unknown): string | undefined {
  if (backend === undefined || typeof backend === "string") return undefined;
  const object = Object(backend) as Readonly<Record<string, unknown>>;
  return portMethods[port].find((method) => typeof object[method] !== "function");
}
