/** The server: `import { createTidings } from "tidings"`. */

export { mintToken, type TokenClaims } from "./auth/mint-token.ts";
export type { AuthOptions } from "./auth-options.ts";
// Errors: to read, and for ports of your own to reject with.
export { errorDomain, errorTable, type Failure, type FieldViolation, fail, type Reason, reasonOf } from "./errors.ts";
export type { Address, TlsOptions } from "./http/listener.ts";
export type { LimitOptions, QuotaOptions, RateOption } from "./limit-options.ts";
export type {
  AdmissionOptions,
  AuthorizeOptions,
  DirectRooms,
  RetentionOptions,
  TidingsOptions,
  TimeoutOptions,
  TracingOptions,
} from "./options.ts";
// Ports: a store, a bus, a presence, a rate limiter, a clock or a source of randomness of your own.
export type * from "./ports/bus.ts";
export type { Clock, Random, Timer } from "./ports/clock.ts";
export type * from "./ports/presence.ts";
export type * from "./ports/rate-limiter.ts";
export * from "./ports/store.ts";
export type { TraceContext } from "./ports/tracer.ts";
// Naming rooms.
export { directRoom, escapeId } from "./rooms/room-ids.ts";
export { createTidings, type Listening, type ListenOptions, type MetricsPage, type Tidings } from "./server.ts";
export type { Defer } from "./wire/flush-queue.ts";
