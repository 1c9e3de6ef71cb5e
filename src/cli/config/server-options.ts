/** From the values of the command line to the options of a server. */
import { createSecureContext } from "node:tls";
import type { Logger } from "pino";
import type { AuthOptions, AuthorizeOptions, TidingsOptions } from "../../options.ts";
import { readText } from "./files.ts";
import { readSecret } from "./secret.ts";
import type { Values } from "./settings.ts";
import { UsageError } from "./usage-error.ts";

/** Options of createTidings. */
export function serverOptions(values: Values, auth: AuthOptions, logger: Logger): TidingsOptions {
  const authorize = authorizeOptions(values);
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
    maxMessageBytes: values.maxMessageBytes,
    heartbeatMs: values.heartbeat,
    drainMs: values.drain,
    drainDelayMs: values.drainDelay,
    maxStreamsPerUser: values.maxStreamsPerUser,
    admission: {
      perSecond,
      ...(burst === undefined ? {} : { burst }),
      ...(perTenant === undefined ? {} : { perTenant }),
    },
    newcomerDays: values.newcomerDays,
    ...(authorize === undefined ? {} : { authorize }),
    alertMs: values.alertWindow,
    reflection: values.reflection,
    metrics: values.metricsAddress !== undefined,
    ...(values.otlpEndpoint === undefined ? {} : { tracing: { endpoint: values.otlpEndpoint } }),
    logger,
  };
}

/** Throws a UsageError for a bus without a store that nodes share, and for workers that have nothing to share. */
export function checkNodes({ store, bus, workers }: Values): void {
  if (bus !== undefined && store === undefined) {
    throw new UsageError(
      "--bus needs --store: the embedded store belongs to one process, so there are no other nodes to tell; leave out " +
        "--bus, or give --store mongodb://…",
      "serve",
    );
  }
  if (workers === 1) return;
  if (store === undefined) {
    throw new UsageError(
      `--workers ${workers} needs --store and --bus: the embedded store belongs to one process, and others could not ` +
        "read what it writes; leave out --workers, or give --store mongodb://… and --bus redis://…",
      "serve",
    );
  }
  if (bus === undefined) {
    throw new UsageError(
      `--workers ${workers} needs --bus: without it a worker hears nothing of what another one publishes; give --bus redis://…`,
      "serve",
    );
  }
}

/** Where a process serves its figures: each of several on a port of its own, one after another. */
export function metricsAddressOf({ metricsAddress }: Values, place = 0): Values["metricsAddress"] {
  if (metricsAddress === undefined || metricsAddress.port === 0) return metricsAddress;
  return { ...metricsAddress, port: metricsAddress.port + place };
}

/** Who decides about rooms. Throws a UsageError for a token without a URL to send it to. */
function authorizeOptions(values: Values): AuthorizeOptions | undefined {
  const { authorizeUrl: url, authorizeToken: token, authorizeTimeout: timeoutMs, authorizeCache: cacheMs } = values;
  if (url !== undefined) return { url, timeoutMs, cacheMs, ...(token === undefined ? {} : { token }) };
  if (token !== undefined) throw new UsageError("--authorize-token needs --authorize-url", "serve");
  return undefined;
}

/** How `serve` checks tokens. Throws a UsageError without a key, with two, and with a weak one. */
export function authOptions(values: Values): AuthOptions {
  const { jwtJwksUrl, jwtIssuer, jwtAudience } = values;
  const secret = readSecret(values, "serve");
  if (secret === undefined && jwtJwksUrl === undefined) {
    throw new UsageError(
      "serve needs a key to check tokens with: set TIDINGS_JWT_SECRET (such as from `openssl rand -base64 32`), " +
        "--jwt-secret-file or --jwt-jwks-url",
      "serve",
    );
  }
  if (secret !== undefined && jwtJwksUrl !== undefined) {
    throw new UsageError("a JWT secret and --jwt-jwks-url exclude each other; give one", "serve");
  }
  return {
    ...(secret === undefined ? {} : { secret }),
    ...(jwtJwksUrl === undefined ? {} : { jwksUrl: jwtJwksUrl }),
    ...(jwtIssuer === undefined ? {} : { issuer: jwtIssuer }),
    ...(jwtAudience === undefined ? {} : { audience: jwtAudience }),
  };
}

/** Key and certificate, undefined for cleartext. Throws a UsageError for half of them, an Error if they are no good. */
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
