/** The server: `import { createTidings } from "tidings"`. */

export { mintToken, type TokenClaims } from "./auth/mint-token.ts";
// For those who read errors.
export { errorDomain, errorTable, type Reason, reasonOf } from "./errors.ts";
export type { Address, TlsOptions } from "./http/listener.ts";
export type {
  AdmissionOptions,
  AuthOptions,
  AuthorizeOptions,
  RetentionOptions,
  TidingsOptions,
  TimeoutOptions,
  TracingOptions,
} from "./options.ts";
// For those who bring their own time and randomness.
export type { Clock, Random, Timer } from "./ports/clock.ts";
// For those who name rooms.
export { directRoom, escapeId } from "./rooms/room-ids.ts";
// For those who run a server.
export { createTidings, type ListenOptions, type Tidings } from "./server.ts";
