/** Turns the settings of `serve` and `dev` into the options of a server. */
import { createSecureContext } from "node:tls";
import type { Logger } from "pino";
import type { AuthOptions } from "../../auth-options.ts";
import { limitNames, quotaNames } from "../../limit-options.ts";
import type { AuthorizeOptions, TidingsOptions } from "../../options.ts";
import type { ListenOptions, ReloadOptions } from "../../server.ts";
import { readJwtSecrets } from "./jwt-secret.ts";
import { readText } from "./read-text.ts";
import type { Values } from "./settings.ts";
import { UsageError } from "./usage-error.ts";

/** The options of createTidings. Throws a UsageError for what needs --authorize-url where there is none. */
export function serverOptions(values: Values, auth: AuthOptions, logger: Logger): TidingsOptions {
  const authorize = authorizeOptions(values);
  if (values.directRooms === "hook" && authorize === undefined) {
    throw new UsageError("--direct-rooms hook needs --authorize-url, the webhook that decides", "serve");
  }
  const { store, bus, newStreamsPerSecond: perSecond, newStreamsBurst: burst, newStreamsPerTenant: perTenant } = values;
  return {
    ...(store === undefined ? { data: values.data } : { store }),
    ...(bus === undefined ? {} : { bus }),
    auth,
    retention: { days: values.retentionDays, count: values.retentionCount },
    timeouts: {
      headersMs: values.headersTimeout,
      requestMs: values.requestTimeout,
      idleMs: values.idleTimeout,
      stallMs: values.stallTimeout,
    },
    allowedOrigins: values.allowedOrigins ?? [],
    trustedProxies: values.trustedProxies ?? [],
    maxMessageBytes: values.maxMessageBytes,
    maxBatchEntries: values.maxBatchEntries,
    ...(values.ringBytes === undefined ? {} : { ringBytes: values.ringBytes }),
    heartbeatMs: values.heartbeat,
    drainMs: values.drain,
    drainDelayMs: values.drainDelay,
    maxStreamsPerUser: values.maxStreamsPerUser,
    inFlight: {
      connectionBytes: values.inFlightConnectionBytes,
      userBytes: values.inFlightUserBytes,
      ...(values.inFlightNodeBytes === undefined ? {} : { nodeBytes: values.inFlightNodeBytes }),
    },
    limits: Object.fromEntries(limitNames.map((name) => [name, values[name]])),
    quotas: Object.fromEntries(
      quotaNames.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]]])),
    ),
    admission: {
      perSecond,
      ...(burst === undefined ? {} : { burst }),
      ...(perTenant === undefined ? {} : { perTenant }),
    },
    publicStreams: values.publicStreams,
    rapidResets: values.rapidResets,
    newcomerDays: values.newcomerDays,
    ...(authorize === undefined ? {} : { authorize }),
    directRooms: values.directRooms,
    reservedCategories: values.reservedCategories,
    alertMs: values.alertWindow,
    ignoreUnknownFields: values.ignoreUnknownFields,
    reflection: values.reflection,
    durableStreams: values.durableStreams,
    openapi: values.openapi,
    metrics: values.metricsAddress !== undefined,
    ...(values.otlpEndpoint === undefined ? {} : { tracing: { endpoint: values.otlpEndpoint } }),
    logger,
  };
}

/**
 * The options of one of `count` threads of a process. Limits without shared state are divided among the threads, since the
 * kernel spreads connections evenly.
 */
export function threadOptions(values: Values, auth: AuthOptions, logger: Logger, count: number): TidingsOptions {
  const { ringBytes, newStreamsPerSecond, newStreamsBurst, newStreamsPerTenant } = values;
  const part = (whole: number) => Math.ceil(whole / count);
  const divided = {
    ...values,
    newStreamsPerSecond: part(newStreamsPerSecond),
    ...(newStreamsBurst === undefined ? {} : { newStreamsBurst: part(newStreamsBurst) }),
    ...(newStreamsPerTenant === undefined ? {} : { newStreamsPerTenant: part(newStreamsPerTenant) }),
    ...(ringBytes === undefined ? {} : { ringBytes: Math.floor(ringBytes / count) }),
  };
  return serverOptions(divided, auth, logger);
}

/** Host, port and TLS of a server that does not listen on a given socket. Throws as tlsOptions does. */
export function listenOptions(values: Values): ListenOptions & { readonly host: string; readonly port: number } {
  const { host, port, pathPrefix } = values;
  const tls = tlsOptions(values);
  return { host, port, ...(tls ? { tls } : {}), ...(pathPrefix === undefined ? {} : { pathPrefix }) };
}

/** Throws a UsageError for a bus without a shared store, and for several workers on a shared store without a bus. */
export function checkNodes({ store, bus, workers = 1 }: Values): void {
  if (bus !== undefined && store === undefined) {
    throw new UsageError(
      "--bus needs --store: only one process can use the embedded store, so there are no other nodes to notify; remove " +
        "--bus, or set --store mongodb://…",
      "serve",
    );
  }
  if (workers > 1 && store !== undefined && bus === undefined) {
    throw new UsageError(
      `--workers ${workers} needs --bus: without it a worker is not notified of messages that another one publishes; ` +
        "set --bus redis://…",
      "serve",
    );
  }
}

/** The address at which a process serves its metrics. Workers use successive ports, by their index. */
export function metricsAddressOf({ metricsAddress }: Values, workerIndex = 0): Values["metricsAddress"] {
  if (metricsAddress === undefined || metricsAddress.port === 0) return metricsAddress;
  return { ...metricsAddress, port: metricsAddress.port + workerIndex };
}

function authorizeOptions(values: Values): AuthorizeOptions | undefined {
  const { authorizeUrl: url, authorizeToken: token, authorizeTimeout: timeoutMs, authorizeCache: cacheMs } = values;
  if (url !== undefined) return { url, timeoutMs, cacheMs, ...(token === undefined ? {} : { token }) };
  if (token !== undefined) throw new UsageError("--authorize-token needs --authorize-url", "serve");
  return undefined;
}

/**
 * The options by which `serve` verifies tokens. Throws a UsageError unless there are either secrets, all of them strong, or a
 * key set, and when the key set would be stale before it is fetched again.
 */
export function authOptions(values: Values): AuthOptions {
  const { jwtJwksUrl, jwtIssuer, jwtAudience, jwtCookie } = values;
  const secret = readJwtSecrets(values, "serve");
  if (secret === undefined && jwtJwksUrl === undefined) {
    throw new UsageError(
      "serve needs a key to verify tokens: set TIDINGS_JWT_SECRET (for example from `openssl rand -base64 32`), " +
        "--jwt-secret-file or --jwt-jwks-url",
      "serve",
    );
  }
  if (secret !== undefined && jwtJwksUrl !== undefined) {
    throw new UsageError("a JWT secret and --jwt-jwks-url exclude each other; set one of them", "serve");
  }
  if (values.jwtJwksMaxStale < values.jwtJwksRefresh) {
    throw new UsageError("--jwt-jwks-max-stale must be at least as long as --jwt-jwks-refresh", "serve");
  }
  return {
    ...(secret === undefined ? {} : { secret }),
    ...(jwtJwksUrl === undefined ? {} : { jwksUrl: jwtJwksUrl }),
    ...(jwtIssuer === undefined ? {} : { issuer: jwtIssuer }),
    ...(jwtAudience === undefined ? {} : { audience: jwtAudience }),
    ...(jwtCookie === undefined ? {} : { cookie: jwtCookie }),
    leewayMs: values.jwtLeeway,
    maxTokenDays: values.jwtMaxDays,
    jwksRefreshMs: values.jwtJwksRefresh,
    jwksMaxStaleMs: values.jwtJwksMaxStale,
  };
}

/**
 * The private key and the certificate, as PEM; undefined for cleartext. Throws a UsageError when only one of them is set,
 * and an Error when a file cannot be read or the two do not match.
 */
export function tlsOptions({ tlsKey, tlsCert }: Values): { key: string; cert: string } | undefined {
  if (tlsKey === undefined && tlsCert === undefined) return undefined;
  if (tlsKey === undefined) throw new UsageError("--tls-cert needs --tls-key", "serve");
  if (tlsCert === undefined) throw new UsageError("--tls-key needs --tls-cert", "serve");
  const tls = { key: readText(tlsKey, "--tls-key"), cert: readText(tlsCert, "--tls-cert") };
  try {
    createSecureContext(tls);
  } catch (cause) {
    throw new Error(`--tls-key, --tls-cert: ${tlsKey} and ${tlsCert} are not a PEM key and its certificate`, { cause });
  }
  return tls;
}

/** Reads secrets and certificates again, as far as they are in files. Throws as authOptions and tlsOptions do. */
export function rereadFiles(values: Values): ReloadOptions {
  const secret = values.jwtSecretFile === undefined ? undefined : readJwtSecrets(values, "serve");
  const tls = tlsOptions(values);
  return { ...(secret ? { secret } : {}), ...(tls ? { tls } : {}) };
}
