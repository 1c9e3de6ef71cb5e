/**
 * The laws of the ports as tests: `import { storeContract } from "tidings/testing"`. A test file of an adapter calls one of
 * these, and Vitest runs what it registers. Needs the packages vitest and fast-check.
 */
import { importWith } from "../util/packages.ts";

export type { OpenedBus } from "./bus.ts";
export type { LosingPresence, OpenedPresence } from "./opened-presence.ts";
export type { PresenceContractOptions } from "./presence.ts";
export type { OpenedRateLimiter } from "./rate-limiter.ts";
export type { StoreContractOptions } from "./store.ts";
export type { MakeStore, OpenedStore } from "./store-bench.ts";

// Imported here rather than re-exported, so that the error for a missing package says what to install.
const [bus, presence, rateLimiter, store] = await importWith("tidings/testing", ["vitest", "fast-check"], () =>
  Promise.all([import("./bus.ts"), import("./presence.ts"), import("./rate-limiter.ts"), import("./store.ts")]),
);

/** Registers the tests of the port Bus. */
export const busContract = bus.busContract;
/** Registers the tests of the port Presence. */
export const presenceContract = presence.presenceContract;
/** Registers the tests of the port RateLimiter. */
export const rateLimiterContract = rateLimiter.rateLimiterContract;
/** Registers the tests of the port Store. */
export const storeContract = store.storeContract;
