/** What a server can be told, resolved once at the door into a complete, read-only value. */
import type { Logger } from "pino";
import { busUrlRule, isBusUrl, isStoreUrl, storeUrlRule } from "./adapters/urls.ts";
import { type Clock, type Random, systemClock, systemRandom } from "./ports/clock.ts";
import { type Defer, systemDefer } from "./wire/flush-queue.ts";

/** How tokens are checked. Exactly one of `secret` and `jwksUrl`. */
export interface AuthOptions {
  /** HS256 secret: at least 32 bytes, and not a run of one character. */
  readonly secret?: string;
  /** URL of a JSON Web Key Set for RS256, PS256, ES256 and EdDSA tokens. */
  readonly jwksUrl?: string;
  /** The `iss` that tokens must carry. Default: not checked. */
  readonly issuer?: string;
  /** The `aud` that tokens must carry. Default: not checked. */
  readonly audience?: string;
}

/** Bounds on connections; each is really enforced on HTTP/1.1, HTTP/2 and WebSocket. */
export interface TimeoutOptions {
  /** From the first byte of a connection or request to the end of its headers, in ms. Default 10,000. */
  readonly headersMs?: number;
  /** From the start of a request to the end of its body, in ms; the answer may take longer. Default 30,000. */
  readonly requestMs?: number;
  /** A connection without a request is closed after so long, in ms. Default 75,000, above the 60 s of common proxies. */
  readonly idleMs?: number;
  /** A stream whose reader takes nothing for so long is closed, in ms. Default 30,000. */
  readonly stallMs?: number;
}

/** How long messages are kept. */
export interface RetentionOptions {
  /** Days. Default 365. */
  readonly days?: number;
  /** Messages per feed; the oldest go first. Default 10,000. */
  readonly count?: number;
}

/** The operator's backend, asked whether a user may enter a room or publish to it where the token does not say so. */
export interface AuthorizeOptions {
  /** Receives POST {tenant, user, room, action: "join" | "publish"} and answers {"allow": true} or {"allow": false}. */
  readonly url: string;
  /** Sent as `Authorization: Bearer`, so that the backend knows who asks. Default: nothing is sent. */
  readonly token?: string;
  /** Without an answer after so long the room is refused, in ms. Default 2,000. */
  readonly timeoutMs?: number;
  /** How long an answer is remembered, in ms. Default 30,000. */
  readonly cacheMs?: number;
}

/** Where traces go, by OTLP over HTTP. */
export interface TracingOptions {
  /** The collector's base URL, such as `http://127.0.0.1:4318`; spans go to `/v1/traces` below it. */
  readonly endpoint: string;
  /** `service.name` of the spans. Default: OTEL_SERVICE_NAME of the environment, else `tidings`. */
  readonly service?: string;
}

/** How many new streams a node takes. */
export interface AdmissionOptions {
  /** Per second, in the long run. Default 500. */
  readonly perSecond?: number;
  /** At once, after a quiet time; and on their way to their Hello at a time. Default: half of `perSecond`. */
  readonly burst?: number;
  /** Of one tenant per second, and half of it at once and at a time. Default: as many as the node takes. */
  readonly perTenant?: number;
}

/** The same with its defaults; `perTenant` is Infinity for none. */
export type AdmissionSettings = Required<AdmissionOptions>;

/** Options of createTidings. */
export interface TidingsOptions {
  /** Folder of the embedded store, made if missing; `:memory:` keeps nothing. Left out where `store` is given. */
  readonly data?: string;
  /** URL of a store that nodes share: `mongodb://` or `mongodb+srv://`. Default: the embedded one in `data`. */
  readonly store?: string;
  /**
   * URL of what nodes tell each other by: `redis://`, `rediss://`, `redis+cluster://` or `redis+sentinel://`; only
   * beside `store`. With `?prefix=name` services share a Redis. Default: the node is the only one on its store.
   */
  readonly bus?: string;
  /** How tokens are checked. */
  readonly auth: AuthOptions;
  /** How long messages are kept. */
  readonly retention?: RetentionOptions;
  /** Bounds on connections. */
  readonly timeouts?: TimeoutOptions;
  /** Origins of pages that may call from another origin, such as `https://app.example.com`; `*` allows all. Default: none. */
  readonly allowedOrigins?: readonly string[];
  /** Content and payload of one message together, in bytes. Default 65,536. */
  readonly maxMessageBytes?: number;
  /** Silence after which a stream sends a heartbeat, in ms. Default 25,000. */
  readonly heartbeatMs?: number;
  /** Over how long the clients of a closing server are told to return, in ms. Default 5,000. */
  readonly drainMs?: number;
  /**
   * How long a closing server goes on as before while it says that it is not ready, so that load balancers turn to
   * others first, in ms. Default 0.
   */
  readonly drainDelayMs?: number;
  /** Open streams of one user on this node. Default 100. */
  readonly maxStreamsPerUser?: number;
  /** New streams of this node. */
  readonly admission?: AdmissionOptions;
  /** Age in days up to which a broadcast is unread for a user who appears for the first time. Default 7. */
  readonly newcomerDays?: number;
  /** Who decides about rooms that a token does not name. Default: nobody, and they are refused. */
  readonly authorize?: AuthorizeOptions;
  /** Age up to which a message that comes late still asks for a sound, in ms. Default 300,000. */
  readonly alertMs?: number;
  /** Serve gRPC reflection. Default true. */
  readonly reflection?: boolean;
  /** Count for operators: see Tidings.metrics and ListenOptions.metrics. Default false. */
  readonly metrics?: boolean;
  /** Trace messages for operators. Default: nothing is traced. */
  readonly tracing?: TracingOptions;
  /** A pino logger. Default: silent. */
  readonly logger?: Logger;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: the machine's. */
  readonly random?: Random;
  /** What is flushed at the end of a turn. Default: the machine's event loop. */
  readonly soon?: Defer;
}

/** All options with their defaults filled in. */
export interface Settings {
  /** Undefined where `store` is set. */
  readonly data: string | undefined;
  readonly store: string | undefined;
  readonly bus: string | undefined;
  readonly auth: AuthOptions;
  readonly retention: Required<RetentionOptions>;
  readonly timeouts: Required<TimeoutOptions>;
  readonly allowedOrigins: readonly string[];
  readonly maxMessageBytes: number;
  readonly heartbeatMs: number;
  readonly drainMs: number;
  readonly drainDelayMs: number;
  readonly maxStreamsPerUser: number;
  readonly admission: AdmissionSettings;
  readonly newcomerDays: number;
  readonly authorize: Required<AuthorizeOptions> | undefined;
  readonly alertMs: number;
  readonly reflection: boolean;
  readonly metrics: boolean;
  readonly tracing: Required<TracingOptions> | undefined;
  readonly logger: Logger | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly soon: Defer;
}

/** Fills in the defaults and checks ranges. Throws a TypeError or RangeError that names the option. */
export function resolveOptions(options: TidingsOptions): Settings {
  checkAuth(options.auth);
  checkBackends(options);
  const { retention = {}, timeouts = {}, admission = {} } = options;
  const perSecond = atLeast("admission.perSecond", admission.perSecond ?? 500, 1);
  return {
    data: options.data,
    store: options.store,
    bus: options.bus,
    auth: options.auth,
    retention: {
      days: atLeast("retention.days", retention.days ?? 365, 1),
      count: atLeast("retention.count", retention.count ?? 10_000, 1),
    },
    timeouts: {
      headersMs: atLeast("timeouts.headersMs", timeouts.headersMs ?? 10_000, 1),
      requestMs: atLeast("timeouts.requestMs", timeouts.requestMs ?? 30_000, 1),
      idleMs: atLeast("timeouts.idleMs", timeouts.idleMs ?? 75_000, 1),
      stallMs: atLeast("timeouts.stallMs", timeouts.stallMs ?? 30_000, 1),
    },
    allowedOrigins: options.allowedOrigins ?? [],
    maxMessageBytes: atLeast("maxMessageBytes", options.maxMessageBytes ?? 65_536, 1),
    heartbeatMs: atLeast("heartbeatMs", options.heartbeatMs ?? 25_000, 10),
    drainMs: atLeast("drainMs", options.drainMs ?? 5_000, 0),
    drainDelayMs: atLeast("drainDelayMs", options.drainDelayMs ?? 0, 0),
    admission: {
      perSecond,
      burst: atLeast("admission.burst", admission.burst ?? Math.ceil(perSecond / 2), 1),
      perTenant:
        admission.perTenant === undefined
          ? Number.POSITIVE_INFINITY
          : atLeast("admission.perTenant", admission.perTenant, 1),
    },
    maxStreamsPerUser: atLeast("maxStreamsPerUser", options.maxStreamsPerUser ?? 100, 1),
    newcomerDays: atLeast("newcomerDays", options.newcomerDays ?? 7, 0),
    authorize: options.authorize && resolveAuthorize(options.authorize),
    alertMs: atLeast("alertMs", options.alertMs ?? 300_000, 0),
    reflection: options.reflection ?? true,
    metrics: options.metrics ?? false,
    tracing: options.tracing && resolveTracing(options.tracing),
    logger: options.logger,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    soon: options.soon ?? systemDefer,
  };
}

/** URLs are not repeated in errors: they may hold a password. */
function checkBackends({ data, store, bus }: TidingsOptions): void {
  if (store === undefined && !data) throw new TypeError("data: name a folder, or :memory: to keep nothing");
  if (store !== undefined && data !== undefined) {
    throw new TypeError("store: leave out data, the folder of the embedded store, or leave out store");
  }
  if (store !== undefined && !isStoreUrl(store)) throw new TypeError(`store: must be ${storeUrlRule}`);
  if (bus === undefined) return;
  if (!isBusUrl(bus)) throw new TypeError(`bus: must be ${busUrlRule}`);
  if (store === undefined) {
    throw new TypeError(
      "bus: needs a store that nodes share, such as mongodb://…; the embedded one is for one process",
    );
  }
}

function resolveAuthorize({ url, token, timeoutMs, cacheMs }: AuthorizeOptions): Required<AuthorizeOptions> {
  if (!/^https?:\/\//.test(url)) throw new TypeError("authorize.url: must be an https or http URL");
  return {
    url,
    token: token ?? "",
    timeoutMs: atLeast("authorize.timeoutMs", timeoutMs ?? 2_000, 1),
    cacheMs: atLeast("authorize.cacheMs", cacheMs ?? 30_000, 0),
  };
}

function resolveTracing({ endpoint, service }: TracingOptions): Required<TracingOptions> {
  if (!/^https?:\/\//.test(endpoint)) throw new TypeError("tracing.endpoint: must be an https or http URL");
  return { endpoint, service: service ?? (process.env.OTEL_SERVICE_NAME || "tidings") };
}

function atLeast(name: string, value: number, least: number): number {
  if (!Number.isFinite(value) || value < least) throw new RangeError(`${name}: must be a number of at least ${least}`);
  return value;
}

function checkAuth(auth: AuthOptions): void {
  if ((auth.secret === undefined) === (auth.jwksUrl === undefined)) {
    throw new TypeError("auth: give exactly one of secret and jwksUrl");
  }
  if (auth.secret !== undefined && isWeakSecret(auth.secret)) {
    throw new RangeError("auth.secret: too weak; give at least 32 random bytes, such as `openssl rand -base64 32`");
  }
  if (auth.jwksUrl !== undefined && !/^https?:\/\//.test(auth.jwksUrl)) {
    throw new TypeError("auth.jwksUrl: must be an https URL (http only for tests)");
  }
}

/** Shorter than HS256's 32 bytes (RFC 7518 section 3.2), or of so few different characters that it cannot be random. */
export function isWeakSecret(secret: string): boolean {
  return new TextEncoder().encode(secret).length < 32 || new Set(secret).size < 8;
}
