/** Options of a server, resolved once into a complete, read-only value: nothing behind createTidings knows a default. */
import { getHeapStatistics } from "node:v8";
import type { Logger } from "pino";
import { busUrlRule, isBusUrl, isStoreUrl, passwordsOf, storeUrlRule } from "./adapters/urls.ts";
import { type AuthOptions, type AuthSettings, resolveAuth } from "./auth-options.ts";
import { type InFlightOptions, type InFlightSettings, resolveInFlight } from "./in-flight-options.ts";
import {
  type LimitOptions,
  type LimitSettings,
  type QuotaOptions,
  type QuotaSettings,
  resolveLimits,
  resolveQuotas,
} from "./limit-options.ts";
import type { Bus } from "./ports/bus.ts";
import { type Clock, type Random, systemClock, systemRandom } from "./ports/clock.ts";
import { missingMethod, type portMethods } from "./ports/methods.ts";
import type { Presence } from "./ports/presence.ts";
import type { RateLimiter } from "./ports/rate-limiter.ts";
import type { Store } from "./ports/store.ts";
import { AddressList } from "./util/address-list.ts";
import { atLeast } from "./util/at-least.ts";
import { isPlaceholder } from "./util/secret-fault.ts";
import { type Defer, systemDefer } from "./wire/flush-queue.ts";

/** Time limits of connections, enforced on HTTP/1.1, HTTP/2 and WebSocket alike. */
export interface TimeoutOptions {
  /** From the first byte of a connection or request to the end of its headers, in milliseconds. Default 10,000. */
  readonly headersMs?: number;
  /** From the start of a request to the end of its body, in milliseconds; the response may take longer. Default 30,000. */
  readonly requestMs?: number;
  /** How long an idle connection stays open, in milliseconds. Default 75,000, above the 60 s of common proxies. */
  readonly idleMs?: number;
  /** How long a stream stays open while its reader takes nothing, in milliseconds. Default 30,000. */
  readonly stallMs?: number;
}

/** How long messages are kept. */
export interface RetentionOptions {
  /** Age in days after which messages are deleted. Default 365. */
  readonly days?: number;
  /** Messages per feed; the oldest are deleted first. Default 10,000. A store object has a `keep` of its own instead. */
  readonly count?: number;
}

/** A hook of yours that decides whether a user may enter a room or publish to it, where the token does not say. */
export interface AuthorizeOptions {
  /**
   * Receives POST {tenant, user, room, action: "join" | "publish"} and answers {"allow": true} or {"allow": false}. A join
   * has a `mode`, too: "any", "first", or "last", which kicks everybody else from the room. Whether a user who is in a room
   * may stay and have its messages in the inbox is asked with "any".
   */
  readonly url: string;
  /** Sent as `Authorization: Bearer`, to prove to the hook that Tidings is calling. Default: no header. */
  readonly token?: string;
  /** How long to wait for an answer before the room is refused, in milliseconds. Default 2,000. */
  readonly timeoutMs?: number;
  /** How long an answer is cached, in milliseconds. Default 30,000. */
  readonly cacheMs?: number;
}

/**
 * When a user may enter the direct room of the user and another one, and publish to it. Nobody else ever may.
 *
 * - `open`: always.
 * - `grant`: as for any other room, by a grant in the token, such as `dm/**`, or else by the consent of the authorize hook.
 * - `hook`: by the consent of the authorize hook, whatever the token grants.
 * - `off`: never. Services are refused as well, since nobody could read what they publish.
 */
export type DirectRooms = (typeof directRoomPolicies)[number];

const directRoomPolicies = ["open", "grant", "hook", "off"] as const;

/** Where traces are sent, by OTLP over HTTP. Needs OpenTelemetry's packages, which are optional peers of this one. */
export interface TracingOptions {
  /** The collector's base URL, such as `http://127.0.0.1:4318`; spans are posted to `/v1/traces` below it. */
  readonly endpoint: string;
  /** `service.name` of the spans. Default: the environment's OTEL_SERVICE_NAME, or else `tidings`. */
  readonly service?: string;
}

/** Rate limits on new streams, by token buckets. A stream beyond them is refused with TOO_MANY_NEW_STREAMS. */
export interface AdmissionOptions {
  /** New streams of the node per second. Default 500. */
  readonly perSecond?: number;
  /** New streams that the node takes at once, and that may wait for their Hello at one time. Default: half of `perSecond`. */
  readonly burst?: number;
  /** New streams of one tenant per second, with a burst of half of it. Default: the limits of the node alone. */
  readonly perTenant?: number;
}

/** AdmissionOptions with the defaults filled in; `perTenant` is Infinity without a limit. */
export type AdmissionSettings = Required<AdmissionOptions>;

/** Options of createTidings. */
export interface TidingsOptions {
  /** Folder of the embedded store, created if missing; `:memory:` stores nothing on disk. Excludes `store`. */
  readonly data?: string;
  /**
   * A store that nodes share: a `mongodb://` or `mongodb+srv://` URL, which needs the package mongodb, or any
   * implementation of the port Store. Default: the embedded store in `data`.
   */
  readonly store?: string | Store;
  /**
   * The bus between the nodes of a store: a `redis://`, `rediss://`, `redis+cluster://` or `redis+sentinel://` URL, which
   * needs the package ioredis, or any implementation of the port Bus. `?prefix=name` lets services share one Redis.
   * Default: none, and the node must be the only one on its store.
   */
  readonly bus?: string | Bus;
  /**
   * The connections and rooms of all nodes, as an implementation of the port Presence. Default: kept in the Redis of
   * `bus` where that is a URL, or else in this process.
   */
  readonly presence?: Presence;
  /**
   * The token buckets of the rate limits, as an implementation of the port RateLimiter. Default: kept in the Redis of `bus`
   * where that is a URL, or else in this process.
   */
  readonly limiter?: RateLimiter;
  /** How tokens are verified. */
  readonly auth: AuthOptions;
  /** How long messages are kept. */
  readonly retention?: RetentionOptions;
  /** Time limits of connections. */
  readonly timeouts?: TimeoutOptions;
  /** Origins whose pages may call this server, such as `https://app.example.com`; `*` allows all. Default: its own only. */
  readonly allowedOrigins?: readonly string[];
  /**
   * Proxies of yours in front of this server: IP addresses, subnets such as `10.0.0.0/8`, and `unix:` for those that connect
   * by a unix socket. Only they are believed about the host that a page asked for (X-Forwarded-Host, Forwarded), and about
   * the address of a client (X-Forwarded-For), to which the limit of new streams applies. Default: none.
   */
  readonly trustedProxies?: readonly string[];
  /** Largest content and payload of one message together, in bytes. Default 65,536. */
  readonly maxMessageBytes?: number;
  /**
   * Most inbox entries of one PublishBatch: its requests, each multiplied by the number of users that it names. Default
   * 100,000.
   */
  readonly maxBatchEntries?: number;
  /**
   * Most memory of the recent messages that the node keeps for its streams, in bytes; messages beyond are read from the
   * store. One tenant gets at most half of it. Default: 1/32 of the heap limit of V8, and at least 16 MiB.
   */
  readonly ringBytes?: number;
  /** How long a stream is silent before it sends a heartbeat, in milliseconds. Default 25,000. */
  readonly heartbeatMs?: number;
  /** The time over which the clients of a closing server spread their return, in milliseconds. Default 5,000. */
  readonly drainMs?: number;
  /**
   * How long a closing server still takes calls while it reports that it is not ready, so that load balancers choose
   * other nodes before its port closes, in milliseconds. Default 0.
   */
  readonly drainDelayMs?: number;
  /** Most open streams of one user on this node. Default 100. */
  readonly maxStreamsPerUser?: number;
  /** Rate limits of tenants, services and users. */
  readonly limits?: LimitOptions;
  /** Quotas of tenants on what they store. They need a store that counts it, as those of Tidings do. */
  readonly quotas?: QuotaOptions;
  /** Bounds on what callers make the node hold: answers that they do not read, and bodies that they do not complete. */
  readonly inFlight?: InFlightOptions;
  /** Rate limits on new streams. */
  readonly admission?: AdmissionOptions;
  /**
   * Most streams of this node that need no token: health watches and reflection. One address may have a tenth of them, and
   * so may one connection. Default 500.
   */
  readonly publicStreams?: number;
  /**
   * HTTP/2 streams that one connection may reset within a second of opening them, at once; a tenth of it each second. One
   * that exceeds this, by more than half of its streams, is cut. Default 100.
   */
  readonly rapidResets?: number;
  /** Age in days up to which a broadcast is unread for a user whom the store has not seen before. Default 7. */
  readonly newcomerDays?: number;
  /** Decides about rooms that a token does not name. Default: they are refused. */
  readonly authorize?: AuthorizeOptions;
  /** When users may enter their direct rooms and publish to them. Default `open`. */
  readonly directRooms?: DirectRooms;
  /**
   * Categories that only services may publish under, compared without regard to case, spaces and invisible characters.
   * Default `admin` and `system`.
   */
  readonly reservedCategories?: readonly string[];
  /** Age up to which a message that is delivered late still has `alert` set, in milliseconds. Default 300,000. */
  readonly alertMs?: number;
  /**
   * Ignore fields and enum values of JSON requests that the contract does not know, instead of refusing the request: for
   * clients that are newer than this server. A misspelled name is then ignored, too. Default false.
   */
  readonly ignoreUnknownFields?: boolean;
  /** Serve gRPC reflection. Default true. */
  readonly reflection?: boolean;
  /**
   * Serve `/openapi.json`, the JSON interface in OpenAPI 3.1, by Tidings.listen and Tidings.handleRequest. Turn it off where
   * your own server has such a path itself. Default true.
   */
  readonly openapi?: boolean;
  /**
   * Serve feeds at `/stream/…` for plain HTTP, by the Durable Streams protocol (docs/streams.md). Tidings.handleRequest then
   * takes `/stream/user`, `tenant`, `activity`, `everyone` and `room/…`. Default true.
   */
  readonly durableStreams?: boolean;
  /**
   * Serve the probes `/livez` and `/readyz` in a server of your own (Tidings.handleRequest, Tidings.routes). Turn it off
   * where that server has such paths itself. Default true.
   */
  readonly probes?: boolean;
  /**
   * Collect metrics for Prometheus, which needs the package prom-client; read them by Tidings.metrics() or serve them by
   * ListenOptions.metricsAddress. Default false.
   */
  readonly metrics?: boolean;
  /** Trace messages from publish to delivery. Default: off. */
  readonly tracing?: TracingOptions;
  /** A pino logger. Default: nothing is logged. */
  readonly logger?: Logger;
  /** The source of time; tests and simulations replace it. Default: the system's clock and timers. */
  readonly clock?: Clock;
  /** The source of randomness; tests and simulations replace it. Default: the system's. */
  readonly random?: Random;
  /** Calls back at the end of the current event-loop tick, when streams are flushed. Default: setImmediate. */
  readonly defer?: Defer;
}

/** TidingsOptions with the defaults filled in. */
export interface Settings {
  /** Undefined where `store` is set. */
  readonly data: string | undefined;
  readonly store: string | Store | undefined;
  readonly bus: string | Bus | undefined;
  readonly presence: Presence | undefined;
  readonly limiter: RateLimiter | undefined;
  readonly auth: AuthSettings;
  readonly retention: Required<RetentionOptions>;
  readonly timeouts: Required<TimeoutOptions>;
  readonly allowedOrigins: readonly string[];
  readonly trustedProxies: AddressList;
  readonly maxMessageBytes: number;
  readonly maxBatchEntries: number;
  readonly ringBytes: number;
  readonly heartbeatMs: number;
  readonly drainMs: number;
  readonly drainDelayMs: number;
  readonly maxStreamsPerUser: number;
  readonly limits: LimitSettings;
  readonly quotas: QuotaSettings;
  readonly inFlight: InFlightSettings;
  readonly admission: AdmissionSettings;
  readonly publicStreams: number;
  readonly rapidResets: number;
  readonly newcomerDays: number;
  readonly authorize: Required<AuthorizeOptions> | undefined;
  readonly directRooms: DirectRooms;
  readonly reservedCategories: readonly string[];
  readonly alertMs: number;
  readonly ignoreUnknownFields: boolean;
  readonly reflection: boolean;
  readonly openapi: boolean;
  readonly durableStreams: boolean;
  readonly probes: boolean;
  readonly metrics: boolean;
  readonly tracing: Required<TracingOptions> | undefined;
  readonly logger: Logger | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly defer: Defer;
}

/** Fills in the defaults. Throws a TypeError or RangeError that names the first option that is wrong. */
export function resolveOptions(options: TidingsOptions): Settings {
  checkBackends(options);
  const { allowedOrigins = [], reservedCategories = ["admin", "system"] } = options;
  // Of a string, includes() would let parts of the origin through.
  if (!Array.isArray(allowedOrigins)) throw new TypeError("allowedOrigins: must be an array of origins");
  if (!Array.isArray(reservedCategories)) throw new TypeError("reservedCategories: must be an array of categories");
  const { retention = {}, timeouts = {}, admission = {} } = options;
  const perSecond = atLeast("admission.perSecond", admission.perSecond ?? 500, 1);
  return {
    data: options.data,
    store: options.store,
    bus: options.bus,
    presence: options.presence,
    limiter: options.limiter,
    auth: resolveAuth(options.auth),
    retention: {
      days: atLeast("retention.days", retention.days ?? 365, 1),
      count: atLeast("retention.count", retention.count ?? 10_000, 1),
    },
    timeouts: resolveTimeouts(timeouts),
    allowedOrigins,
    trustedProxies: resolveProxies(options.trustedProxies ?? []),
    maxMessageBytes: atLeast("maxMessageBytes", options.maxMessageBytes ?? 65_536, 1),
    maxBatchEntries: atLeast("maxBatchEntries", options.maxBatchEntries ?? 100_000, 1),
    ringBytes: atLeast("ringBytes", options.ringBytes ?? defaultRingBytes(), 0),
    heartbeatMs: atLeast("heartbeatMs", options.heartbeatMs ?? 25_000, 10),
    drainMs: atLeast("drainMs", options.drainMs ?? 5_000, 0),
    drainDelayMs: atLeast("drainDelayMs", options.drainDelayMs ?? 0, 0),
    limits: resolveLimits(options.limits),
    quotas: resolveQuotas(options.quotas),
    inFlight: resolveInFlight(options.inFlight),
    admission: {
      perSecond,
      burst: atLeast("admission.burst", admission.burst ?? Math.ceil(perSecond / 2), 1),
      perTenant:
        admission.perTenant === undefined
          ? Number.POSITIVE_INFINITY
          : atLeast("admission.perTenant", admission.perTenant, 1),
    },
    publicStreams: atLeast("publicStreams", options.publicStreams ?? 500, 1),
    rapidResets: atLeast("rapidResets", options.rapidResets ?? 100, 1),
    maxStreamsPerUser: atLeast("maxStreamsPerUser", options.maxStreamsPerUser ?? 100, 1),
    newcomerDays: atLeast("newcomerDays", options.newcomerDays ?? 7, 0),
    authorize: options.authorize && resolveAuthorize(options.authorize),
    directRooms: resolveDirectRooms(options),
    reservedCategories,
    alertMs: atLeast("alertMs", options.alertMs ?? 300_000, 0),
    ignoreUnknownFields: options.ignoreUnknownFields ?? false,
    reflection: options.reflection ?? true,
    openapi: options.openapi ?? true,
    durableStreams: options.durableStreams ?? true,
    probes: options.probes ?? true,
    metrics: options.metrics ?? false,
    tracing: options.tracing && resolveTracing(options.tracing),
    logger: options.logger,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    defer: options.defer ?? systemDefer,
  };
}

/** The default of `ringBytes`. Grows with the heap limit of the process: a small budget costs reads of the store. */
export function defaultRingBytes(): number {
  return Math.max(16 * 1024 * 1024, Math.floor(getHeapStatistics().heap_size_limit / 32));
}

/** Errors do not repeat a URL, which may hold a password. */
function checkBackends({ data, store, bus, presence, limiter, retention }: TidingsOptions): void {
  if (store === undefined && !data) throw new TypeError("data: name a folder, or :memory: to keep nothing");
  if (store !== undefined && data !== undefined) {
    throw new TypeError("store: leave out data, the folder of the embedded store, or leave out store");
  }
  for (const [name, backend] of Object.entries({ store, bus })) {
    if (typeof backend !== "string" || !passwordsOf(backend).some(isPlaceholder)) continue;
    throw new TypeError(`${name}: its password is a placeholder; set a real one`);
  }
  if (typeof store === "string" && !isStoreUrl(store)) throw new TypeError(`store: must be ${storeUrlRule}`);
  for (const [name, backend] of Object.entries({ store, bus, presence, limiter })) {
    const missing = missingMethod(name as keyof typeof portMethods, backend);
    if (missing) throw new TypeError(`${name}: its method ${missing} is missing`);
  }
  if (typeof store === "object" && retention?.count !== undefined) {
    throw new TypeError("retention.count: a store that you open yourself has its own; set it there, as `keep`");
  }
  if (typeof bus !== "string") return;
  if (!isBusUrl(bus)) throw new TypeError(`bus: must be ${busUrlRule}`);
  if (store === undefined) {
    throw new TypeError(
      "bus: needs a store that nodes share, such as mongodb://…; the embedded one is for one process",
    );
  }
}

function resolveProxies(trustedProxies: readonly string[]): AddressList {
  if (!Array.isArray(trustedProxies)) throw new TypeError("trustedProxies: must be an array of addresses");
  try {
    return new AddressList(trustedProxies);
  } catch (error) {
    throw new TypeError(`trustedProxies: ${(error as Error).message}`);
  }
}

function resolveAuthorize({ url, token, timeoutMs, cacheMs }: AuthorizeOptions): Required<AuthorizeOptions> {
  if (!/^https?:\/\//.test(url)) throw new TypeError("authorize.url: must be an https or http URL");
  if (isPlaceholder(token ?? "")) throw new TypeError("authorize.token: is a placeholder; set a real one");
  return {
    url,
    token: token ?? "",
    timeoutMs: atLeast("authorize.timeoutMs", timeoutMs ?? 2_000, 1),
    cacheMs: atLeast("authorize.cacheMs", cacheMs ?? 30_000, 0),
  };
}

function resolveDirectRooms({ directRooms = "open", authorize }: TidingsOptions): DirectRooms {
  if (!directRoomPolicies.includes(directRooms)) {
    throw new TypeError(`directRooms: must be one of ${directRoomPolicies.join(", ")}`);
  }
  if (directRooms === "hook" && authorize === undefined) {
    throw new TypeError("directRooms: the policy `hook` needs authorize, the hook that decides");
  }
  return directRooms;
}

function resolveTracing({ endpoint, service }: TracingOptions): Required<TracingOptions> {
  if (!/^https?:\/\//.test(endpoint)) throw new TypeError("tracing.endpoint: must be an https or http URL");
  return { endpoint, service: service ?? (process.env.OTEL_SERVICE_NAME || "tidings") };
}

function resolveTimeouts(timeouts: TimeoutOptions): Required<TimeoutOptions> {
  const { headersMs = 10_000, requestMs = 30_000, idleMs = 75_000, stallMs = 30_000 } = timeouts;
  const resolved = { headersMs, requestMs, idleMs, stallMs };
  for (const [name, value] of Object.entries(resolved)) atLeast(`timeouts.${name}`, value, 1);
  // A request ends after its headers.
  if (headersMs > requestMs) {
    throw new RangeError(`timeouts.headersMs: must be at most timeouts.requestMs, which is ${requestMs}`);
  }
  return resolved;
}
