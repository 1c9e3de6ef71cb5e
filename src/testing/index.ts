/**
 * The laws of the ports as tests: `import { storeContract } from "tidings/testing"`. A test file of an adapter calls one of
 * these, and Vitest runs what it registers. Needs the packages vitest and fast-check.
 */
export { busContract, type OpenedBus } from "./bus.ts";
export type { LosingPresence, OpenedPresence } from "./opened-presence.ts";
export { type PresenceContractOptions, presenceContract } from "./presence.ts";
export { type OpenedRateLimiter, rateLimiterContract } from "./rate-limiter.ts";
export { type StoreContractOptions, storeContract } from "./store.ts";
export type { MakeStore, OpenedStore } from "./store-bench.ts";
