/**
 * The table of all settings. Flags, environment variables, keys of the configuration file and the help are derived from
 * it: `jwtSecret` is `--jwt-secret`, `TIDINGS_JWT_SECRET`, and `jwtSecret` in the file.
 */
import { dayMs } from "../../util/durations.ts";
import { callSettings } from "./call-settings.ts";
import { clientSettings } from "./client-settings.ts";
import { limitSettings, quotaSettings } from "./limit-settings.ts";
import {
  address,
  addressRange,
  bearer,
  busUrl,
  choice,
  cookieName,
  duration,
  fileMode,
  hookUrl,
  hostAndPort,
  keySetUrl,
  list,
  origin,
  path,
  pathPrefix,
  secrets,
  storeUrl,
  text,
  toggle,
  unixSocket,
  url,
  type ValueType,
  whole,
} from "./value-types.ts";

/** The names of the commands, in the order in which the help lists them. */
export const commandNames = [
  "serve",
  "dev",
  "token",
  "publish",
  "tail",
  "unread",
  "online",
  "disconnect",
  "context",
  "completion",
  "test-client",
] as const;

/** The name of a command. */
export type CommandName = (typeof commandNames)[number];

/** One setting. */
export interface Setting<T> {
  /** The type of its value. */
  readonly type: ValueType<T>;
  /** The default value, as it would be written on the command line. */
  readonly default?: string;
  /** Defaults of single commands, which override `default`. */
  readonly defaultOf?: Partial<Record<CommandName, string>>;
  /** A standard environment variable that also sets it, unless its own variable does. */
  readonly environment?: string;
  /** One or two sentences for the help. */
  readonly help: string;
  /** The commands that have it. */
  readonly for: readonly CommandName[];
  /** It describes a single call, so the environment and the file cannot set it. */
  readonly flagOnly?: true;
  /** Commands for which the environment and the file cannot set it, although they can for others. */
  readonly flagOnlyFor?: readonly CommandName[];
}

const everywhere = commandNames;
const servers = ["serve", "dev"] as const;
const serve = ["serve"] as const;
/** The origins of the usual development servers. `*` would let any website fetch the tokens of the demo page. */
const localOrigins = [3000, 4200, 5173, 8000, 8080]
  .flatMap((port) => [`http://localhost:${port}`, `http://127.0.0.1:${port}`])
  .join();
const timeout = duration(1, dayMs);
/** Why a secret should not be set by a flag. */
const visibleFlags = "Flags are visible to other users of the machine:";

/** All settings. */
export const settings = {
  host: {
    type: address,
    default: "127.0.0.1",
    help: "Address to listen on; 0.0.0.0 means every IPv4 address of the machine.",
    for: servers,
  },
  port: { type: whole(0, 65_535), default: "7300", help: "Port to listen on; 0 means any free port.", for: servers },
  address: {
    type: unixSocket,
    help: "Unix socket to listen on, such as unix:/run/tidings/tidings.sock, instead of host and port. A socket from systemd (LISTEN_FDS) is used without this.",
    for: serve,
  },
  socketMode: { type: fileMode, default: "660", help: "Mode of the file of that socket, in octal.", for: serve },
  pathPrefix: {
    type: pathPrefix,
    help: "Path below which everything is served too, such as /push, for a proxy that does not strip it.",
    for: servers,
  },
  data: {
    type: path,
    default: "./tidings-data",
    defaultOf: { dev: "./.tidings" },
    help: "Folder of the embedded store. It is created when it does not exist, and not used with --store.",
    for: servers,
  },
  store: {
    type: storeUrl,
    help: `MongoDB to use as the store, instead of the embedded one; several nodes can share it. ${visibleFlags} set a URL with a password in the environment or in a file.`,
    for: serve,
  },
  bus: {
    type: busUrl,
    help: "Redis through which the nodes of one --store notify each other of new messages and of users online. Without it only one node may use the store.",
    for: serve,
  },
  workers: {
    type: whole(1, 256),
    help: "Number of event loops that share this port, to use several cores. With the embedded store they are threads of one process; with --store and --bus they are processes. Default: one for each core, at most 8, with the embedded store, and otherwise 1.",
    for: serve,
  },
  semiSpace: {
    type: whole(0, 1_024),
    default: "4",
    help: "Largest size in MB of V8's semi-spaces, which hold new objects and stay resident after many streams were opened (Node's --max-semi-space-size). 0 leaves Node's default of 16. Without effect on Windows and with a socket from systemd.",
    for: serve,
  },
  jwtSecret: {
    type: secrets,
    help: `HS256 secret that signs the tokens, at least 32 bytes. To rotate it, set the new one and the old one, each on a line of its own: both are accepted, and the first signs. ${visibleFlags} prefer the environment or a file.`,
    for: ["serve", "token"],
  },
  jwtSecretFile: {
    type: path,
    help: "File that holds the HS256 secret, or several, each on a line of its own.",
    for: ["serve", "token"],
  },
  jwtJwksUrl: {
    type: keySetUrl,
    help: "URL of the key set (JWKS) that verifies RS256, PS256, ES256 and EdDSA tokens, instead of a secret.",
    for: serve,
  },
  jwtJwksRefresh: {
    type: duration(1_000, dayMs),
    default: "300s",
    help: "Interval at which the key set is fetched in the background.",
    for: serve,
  },
  jwtJwksMaxStale: {
    type: duration(1_000, 7 * dayMs),
    default: "3600s",
    help: "Time for which the last known key set is used while it cannot be fetched.",
    for: serve,
  },
  jwtIssuer: {
    type: text,
    help: "The `iss` that tokens must have; `tidings token` sets it.",
    for: ["serve", "token"],
  },
  jwtAudience: {
    type: text,
    help: "The `aud` that tokens must have; `tidings token` sets it.",
    for: ["serve", "token"],
  },
  jwtLeeway: {
    type: duration(0, 3_600_000),
    default: "30s",
    help: "How far in the future the `nbf` and `iat` of a token may be, because clocks differ.",
    for: serve,
  },
  jwtMaxDays: {
    type: whole(1, 36_500),
    default: "400",
    help: "How many days in the future the `exp` of a token may be.",
    for: ["serve", "token"],
  },
  jwtCookie: {
    type: cookieName,
    help: "Cookie that has the token of a page which reads feeds by an EventSource. It counts for GET /stream/… only, from pages of the same origin or of --allowed-origins.",
    for: serve,
  },
  tlsKey: { type: path, help: "PEM file of the private key. Needs --tls-cert.", for: serve },
  tlsCert: { type: path, help: "PEM file of the certificate and its chain. Needs --tls-key.", for: serve },
  allowedOrigins: {
    type: list(origin),
    defaultOf: { dev: localOrigins },
    help: "Origins whose pages may call this server (CORS); * allows all.",
    for: servers,
  },
  trustedProxies: {
    type: list(addressRange),
    help: "Proxies in front of this server, as addresses, subnets or unix: for those on a unix socket. Only they are believed about the host that a page asked for (X-Forwarded-Host, Forwarded) and the address of a client (X-Forwarded-For).",
    for: servers,
  },
  retentionDays: { type: whole(1), default: "365", help: "Number of days for which messages are kept.", for: servers },
  retentionCount: {
    type: whole(1),
    default: "10000",
    help: "Number of messages kept per feed; the oldest are removed first.",
    for: servers,
  },
  maxMessageBytes: {
    type: whole(1),
    default: "65536",
    help: "Maximum size of a message: its content and payload together, in bytes.",
    for: servers,
  },
  maxBatchEntries: {
    type: whole(1),
    default: "100000",
    help: "Maximum number of inbox entries of one PublishBatch: users times requests.",
    for: servers,
  },
  ringBytes: {
    type: whole(0),
    help: "Maximum memory of the recent messages that are kept for streams, in bytes; others are read from the store. Without it, 1/32 of the heap limit, and at least 16 MiB.",
    for: servers,
  },
  inFlightConnectionBytes: {
    type: whole(65_536),
    default: "16777216",
    help: "Maximum bytes of one user's answers on one HTTP/2 connection that are not read yet, and of its request bodies that have not arrived whole; further calls of the user wait.",
    for: servers,
  },
  inFlightUserBytes: {
    type: whole(65_536),
    default: "33554432",
    help: "The same of one user, over all connections; the calls that have not moved for the longest time are cut.",
    for: servers,
  },
  inFlightNodeBytes: {
    type: whole(65_536),
    help: "The same of the node. Without it, 1/32 of the heap limit, and at least 32 MiB.",
    for: servers,
  },
  heartbeat: {
    type: duration(10, dayMs),
    default: "25s",
    help: "Idle time after which a stream sends a heartbeat.",
    for: servers,
  },
  drain: {
    type: duration(0, 3_600_000),
    default: "5s",
    defaultOf: { dev: "0ms" },
    help: "Period over which the clients of a closing server are told to reconnect, each after a different delay.",
    for: servers,
  },
  drainDelay: {
    type: duration(0, 3_600_000),
    default: "0ms",
    help: "Time after a signal during which the server works as before while /readyz fails, so that load balancers switch to other nodes.",
    for: servers,
  },
  headersTimeout: {
    type: timeout,
    default: "10s",
    help: "Time limit for receiving the headers of a request.",
    for: servers,
  },
  requestTimeout: {
    type: timeout,
    default: "30s",
    help: "Time limit for receiving a request, body included.",
    for: servers,
  },
  idleTimeout: {
    type: timeout,
    default: "75s",
    help: "Time after which a connection without a request is closed.",
    for: servers,
  },
  stallTimeout: {
    type: timeout,
    default: "30s",
    help: "Time after which a stream is closed whose client has stopped reading.",
    for: servers,
  },
  newcomerDays: {
    type: whole(0),
    default: "7",
    help: "Age in days up to which a broadcast is unread for a user who connects for the first time; older ones count as read.",
    for: servers,
  },
  maxStreamsPerUser: {
    type: whole(1),
    default: "100",
    help: "Maximum number of open streams of one user.",
    for: servers,
  },
  newStreamsPerSecond: {
    type: whole(1),
    default: "500",
    help: "Rate limit for new streams of a node; a client above it is told when to retry.",
    for: servers,
  },
  newStreamsBurst: {
    type: whole(1),
    help: "Burst of that rate limit, and the maximum number of streams that are being opened at the same time. Default: half of --new-streams-per-second.",
    for: servers,
  },
  newStreamsPerTenant: {
    type: whole(1),
    help: "Rate limit for new streams of one tenant on a node, per second; its burst is half of it. Default: the limit of the node.",
    for: servers,
  },
  publicStreams: {
    type: whole(1),
    default: "500",
    help: "Maximum number of streams that need no token: health watches and reflection. One address may have a tenth of them.",
    for: servers,
  },
  rapidResets: {
    type: whole(1),
    default: "100",
    help: "Maximum number of HTTP/2 streams that one connection may reset at once right after it opened them; a tenth of it each second.",
    for: servers,
  },
  ...limitSettings,
  ...quotaSettings,
  authorizeUrl: {
    type: hookUrl,
    help: "Webhook that decides about rooms which a token does not grant. It receives tenant, user, room, action (join or publish) and, for a join, mode (any, first or last), and answers with allow.",
    for: servers,
  },
  authorizeToken: {
    type: bearer,
    help: `Token sent to that webhook as \`Authorization: Bearer\`. ${visibleFlags} prefer the environment or a file.`,
    for: servers,
  },
  authorizeTimeout: {
    type: timeout,
    default: "2s",
    help: "Time limit for an answer of that webhook; without one, access is denied.",
    for: servers,
  },
  authorizeCache: {
    type: duration(0, dayMs),
    default: "30s",
    help: "Time for which an answer of that webhook is cached.",
    for: servers,
  },
  directRooms: {
    type: choice("open", "grant", "hook", "off"),
    default: "open",
    help: "When users may enter their direct rooms and publish to them: always, by a grant in the token or the webhook, by the webhook alone, or never.",
    for: servers,
  },
  reservedCategories: {
    type: list(text),
    default: "admin,system",
    help: "Categories that only services may publish under; users are refused.",
    for: servers,
  },
  alertWindow: {
    type: duration(0, dayMs),
    default: "5m",
    help: "Maximum age of a message that still asks the page for a sound.",
    for: servers,
  },
  ignoreUnknownFields: {
    type: toggle,
    default: "false",
    help: "Ignore unknown fields of JSON requests, for clients newer than the server.",
    for: servers,
  },
  reflection: {
    type: toggle,
    default: "true",
    help: "Serve gRPC reflection; --no-reflection turns it off.",
    for: servers,
  },
  durableStreams: {
    type: toggle,
    default: "true",
    help: "Serve feeds at /stream/… by the Durable Streams protocol; --no-durable-streams turns it off.",
    for: servers,
  },
  openapi: {
    type: toggle,
    default: "true",
    help: "Serve /openapi.json, which describes the calls in JSON; --no-openapi turns it off.",
    for: servers,
  },
  metricsAddress: {
    type: hostAndPort,
    help: "Address at which /metrics serves Prometheus metrics. With --workers each process uses the next port.",
    for: servers,
  },
  otlpEndpoint: {
    type: url,
    environment: "OTEL_EXPORTER_OTLP_ENDPOINT",
    help: "OpenTelemetry collector that receives traces (OTLP over HTTP), such as http://127.0.0.1:4318.",
    for: servers,
  },
  logLevel: {
    type: choice("silent", "fatal", "error", "warn", "info", "debug", "trace"),
    default: "info",
    defaultOf: { dev: "warn" },
    help: "Lowest level to log. Logs are JSON on stderr.",
    for: servers,
  },
  ...clientSettings,
  ...callSettings,
  json: { type: toggle, default: "false", help: "Print JSON, one document per line.", for: everywhere, flagOnly: true },
} as const satisfies Record<string, Setting<unknown>>;

/** The name of a setting, as in the file. */
export type SettingName = keyof typeof settings;

/** The names of all settings. */
export const settingNames = Object.keys(settings) as SettingName[];

type ValueOf<S> = S extends { readonly type: ValueType<infer T> }
  ? S extends { readonly default: string }
    ? T
    : T | undefined
  : never;

/** The values of all settings. Those without a default may be undefined. */
export type Values = { readonly [Name in SettingName]: ValueOf<(typeof settings)[Name]> };

/** A setting, without its literal types. */
export function settingOf(name: SettingName): Setting<unknown> {
  return settings[name];
}

/** Whether only a flag can set it for this command. */
export function isFlagOnly(name: SettingName, command: CommandName): boolean {
  const { flagOnly, flagOnlyFor } = settingOf(name);
  return flagOnly ?? flagOnlyFor?.includes(command) ?? false;
}

/** The flag of a setting, without its leading dashes: `jwtSecret` → `jwt-secret`. */
export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The environment variable of a setting: `jwtSecret` → `TIDINGS_JWT_SECRET`. */
export function environmentName(name: string): string {
  return `TIDINGS_${flagName(name).replaceAll("-", "_").toUpperCase()}`;
}
