/** Refuses misspelled options: in JavaScript one would count as not set, and a limit that is not set limits nothing. */

import type { AuthOptions } from "./auth-options.ts";
import type { InFlightOptions } from "./in-flight-options.ts";
import { type LimitOptions, limitNames, type QuotaOptions, quotaNames } from "./limit-options.ts";
import type {
  AdmissionOptions,
  AuthorizeOptions,
  RetentionOptions,
  TidingsOptions,
  TimeoutOptions,
  TracingOptions,
} from "./options.ts";
import { suggestion } from "./util/suggestion.ts";

/** All keys of an interface: the compiler refuses a key that is missing, or one too many. */
export type KeysOf<T> = Readonly<Record<keyof T, true>>;

const top: KeysOf<TidingsOptions> = {
  data: true,
  store: true,
  bus: true,
  presence: true,
  limiter: true,
  auth: true,
  retention: true,
  timeouts: true,
  allowedOrigins: true,
  trustedProxies: true,
  maxMessageBytes: true,
  maxBatchEntries: true,
  ringBytes: true,
  heartbeatMs: true,
  drainMs: true,
  drainDelayMs: true,
  maxStreamsPerUser: true,
  limits: true,
  quotas: true,
  inFlight: true,
  admission: true,
  publicStreams: true,
  rapidResets: true,
  newcomerDays: true,
  authorize: true,
  directRooms: true,
  reservedCategories: true,
  alertMs: true,
  ignoreUnknownFields: true,
  reflection: true,
  durableStreams: true,
  openapi: true,
  probes: true,
  metrics: true,
  tracing: true,
  logger: true,
  clock: true,
  random: true,
  defer: true,
};

/** The options that have options of their own. */
const nested = {
  auth: {
    secret: true,
    jwksUrl: true,
    issuer: true,
    audience: true,
    leewayMs: true,
    maxTokenDays: true,
    jwksRefreshMs: true,
    jwksMaxStaleMs: true,
    cookie: true,
  } satisfies KeysOf<AuthOptions>,
  retention: { days: true, count: true } satisfies KeysOf<RetentionOptions>,
  timeouts: { headersMs: true, requestMs: true, idleMs: true, stallMs: true } satisfies KeysOf<TimeoutOptions>,
  limits: Object.fromEntries(limitNames.map((name) => [name, true])) as KeysOf<LimitOptions>,
  quotas: Object.fromEntries(quotaNames.map((name) => [name, true])) as KeysOf<QuotaOptions>,
  inFlight: { connectionBytes: true, userBytes: true, nodeBytes: true } satisfies KeysOf<InFlightOptions>,
  admission: { perSecond: true, burst: true, perTenant: true } satisfies KeysOf<AdmissionOptions>,
  authorize: { url: true, token: true, timeoutMs: true, cacheMs: true } satisfies KeysOf<AuthorizeOptions>,
  tracing: { endpoint: true, service: true } satisfies KeysOf<TracingOptions>,
} satisfies Partial<KeysOf<TidingsOptions> | Record<keyof TidingsOptions, object>>;

/** Checks the keys of the options of createTidings, at every depth. Throws a TypeError that names the unknown key. */
export function checkOptionKeys(options: TidingsOptions): void {
  checkKeys("options", options, top);
  for (const [name, keys] of Object.entries(nested)) {
    const value = options[name as keyof typeof nested];
    if (value !== undefined) checkKeys(name, value, keys);
  }
  for (const [name, rate] of Object.entries(options.limits ?? {})) {
    if (typeof rate === "object") checkKeys(`limits.${name}`, rate, { perSecond: true, burst: true });
  }
}

/** Throws a TypeError unless a value is an object without other keys than these; `name` is its name in the error. */
export function checkKeys(name: string, value: unknown, keys: Readonly<Record<string, true>>): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`${name}: must be an object`);
  }
  const unknown = Object.keys(value).find((key) => !Object.hasOwn(keys, key));
  if (unknown === undefined) return;
  const known = Object.keys(keys);
  const hint = suggestion(unknown, known) || `; known keys are ${known.join(", ")}`;
  throw new TypeError(`${name}: unknown key ${unknown}${hint}`);
}
