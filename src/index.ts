/** The server: `import { createTidings } from "tidings"`. */

// For those who bring their own time and randomness.
export type { Clock, Random, Timer } from "./clock.ts";
// For those who read errors.
export { errorDomain, errorTable, type Reason, reasonOf } from "./errors.ts";
export type { Address, TlsOptions } from "./http/listener.ts";
export { mintToken, type TokenClaims } from "./mint.ts";
export type {
  AdmissionOptions,
  AuthOptions,
  AuthorizeOptions,
  RetentionOptions,
  TidingsOptions,
  TimeoutOptions,
  TracingOptions,
} from "./options.ts";
// For those who name rooms.
export { directRoom, escapeId } from "./room-ids.ts";
// For those who run a server.
export { createTidings, type ListenOptions, type Tidings } from "./server.ts";
