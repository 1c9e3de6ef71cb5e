/**
 * Every option of the command line, once. Flags, environment, configuration file and help are derived from this table:
 * `jwtSecret` is `--jwt-secret`, `TIDINGS_JWT_SECRET`, and `jwtSecret` in the file.
 */
import {
  address,
  bearer,
  busUrl,
  choice,
  duration,
  hookUrl,
  hostAndPort,
  instant,
  json,
  jwt,
  keySetUrl,
  list,
  origin,
  path,
  repeated,
  storeUrl,
  type Type,
  text,
  toggle,
  url,
  whole,
} from "./types.ts";

/** The commands, in the order of the help. */
export const commandNames = ["serve", "dev", "token", "publish", "tail", "unread", "online", "disconnect"] as const;

/** A command. */
export type CommandName = (typeof commandNames)[number];

/** One option. */
export interface Setting<T> {
  /** What its value may be. */
  readonly type: Type<T>;
  /** Its value if none is given, spelled as it would be on the command line. */
  readonly default?: string;
  /** Defaults of single commands, before `default`. */
  readonly defaultOf?: Partial<Record<CommandName, string>>;
  /** A variable of a common standard that sets it, too, after its own. */
  readonly environment?: string;
  /** What it does, in one or two sentences. */
  readonly help: string;
  /** The commands that take it. */
  readonly for: readonly CommandName[];
  /** Says what one call is about, so the environment and the file cannot set it. */
  readonly flagOnly?: true;
}

const everywhere = commandNames;
const servers = ["serve", "dev"] as const;
const serve = ["serve"] as const;
const calls = ["publish", "tail", "unread", "online", "disconnect"] as const;
const publish = ["publish"] as const;
const disconnect = ["disconnect"] as const;
/** What the contract allows: 10 years. */
const longestLife = 315_360_000_000;
/** Where the usual development servers are. Not `*`: the demo page hands out tokens, and any site could ask for them. */
const localOrigins = [3000, 4200, 5173, 8000, 8080]
  .flatMap((port) => [`http://localhost:${port}`, `http://127.0.0.1:${port}`])
  .join();
const timeout = duration(1, 86_400_000);

/** The table. */
export const settings = {
  host: { type: address, default: "127.0.0.1", help: "Address to listen on; 0.0.0.0 for all of IPv4.", for: servers },
  port: { type: whole(0, 65_535), default: "7300", help: "Port to listen on; 0 takes any free one.", for: servers },
  data: {
    type: path,
    default: "./tidings-data",
    defaultOf: { dev: "./.tidings" },
    help: "Folder of the embedded store, made if missing; not used with --store.",
    for: servers,
  },
  store: {
    type: storeUrl,
    help: "MongoDB as the store, which several nodes share, in place of the embedded one. Other users of the machine can read flags: give a URL with a password in the environment or a file.",
    for: serve,
  },
  bus: {
    type: busUrl,
    help: "Redis, by which the nodes of one --store tell each other what is new and who is online; without it, only one node may use the store.",
    for: serve,
  },
  workers: {
    type: whole(1, 256),
    default: "1",
    help: "So many nodes on this port, for the cores of the machine; more than one need --store and --bus.",
    for: serve,
  },
  jwtSecret: {
    type: text,
    help: "HS256 secret of the tokens, at least 32 bytes. Other users of the machine can read flags: prefer the environment or a file.",
    for: ["serve", "token"],
  },
  jwtSecretFile: { type: path, help: "File that holds the HS256 secret.", for: ["serve", "token"] },
  jwtJwksUrl: {
    type: keySetUrl,
    help: "Key set of RS256, PS256, ES256 and EdDSA tokens, in place of a secret.",
    for: serve,
  },
  jwtIssuer: {
    type: text,
    help: "The `iss` that tokens must carry; tokens are minted with it.",
    for: ["serve", "token"],
  },
  jwtAudience: {
    type: text,
    help: "The `aud` that tokens must carry; tokens are minted with it.",
    for: ["serve", "token"],
  },
  tlsKey: { type: path, help: "PEM file of the private key; together with --tls-cert.", for: serve },
  tlsCert: { type: path, help: "PEM file of the certificate and its chain; together with --tls-key.", for: serve },
  allowedOrigins: {
    type: list(origin),
    defaultOf: { dev: localOrigins },
    help: "Origins of pages that may call from another origin; * for all.",
    for: servers,
  },
  retentionDays: { type: whole(1), default: "365", help: "Days for which messages are kept.", for: servers },
  retentionCount: {
    type: whole(1),
    default: "10000",
    help: "Messages kept per feed; the oldest go first.",
    for: servers,
  },
  maxMessageBytes: {
    type: whole(1),
    default: "65536",
    help: "Content and payload of one message together.",
    for: servers,
  },
  heartbeat: {
    type: duration(10, 86_400_000),
    default: "25s",
    help: "Silence after which a stream sends a heartbeat.",
    for: servers,
  },
  drain: {
    type: duration(0, 3_600_000),
    default: "5s",
    defaultOf: { dev: "0ms" },
    help: "Over how long the clients of a closing server are told to return.",
    for: servers,
  },
  drainDelay: {
    type: duration(0, 3_600_000),
    default: "0ms",
    help: "After a signal, how long to go on as before while /readyz says no, so that load balancers turn to other nodes.",
    for: servers,
  },
  headersTimeout: {
    type: timeout,
    default: "10s",
    help: "From the start of a request to the end of its headers.",
    for: servers,
  },
  requestTimeout: {
    type: timeout,
    default: "30s",
    help: "From the start of a request to the end of its body.",
    for: servers,
  },
  idleTimeout: {
    type: timeout,
    default: "75s",
    help: "A connection without a request is closed after so long.",
    for: servers,
  },
  stallTimeout: {
    type: timeout,
    default: "30s",
    help: "A stream whose reader takes nothing for so long is closed.",
    for: servers,
  },
  newcomerDays: {
    type: whole(0),
    default: "7",
    help: "Age in days up to which a broadcast is unread for a user who appears for the first time.",
    for: servers,
  },
  maxStreamsPerUser: { type: whole(1), default: "100", help: "Open streams of one user.", for: servers },
  newStreamsPerSecond: {
    type: whole(1),
    default: "500",
    help: "New streams that a node takes; others are told when to come back.",
    for: servers,
  },
  newStreamsBurst: {
    type: whole(1),
    help: "New streams taken at once after a quiet time, and on their way to their Hello at a time. Default: half of --new-streams-per-second.",
    for: servers,
  },
  newStreamsPerTenant: {
    type: whole(1),
    help: "New streams of one tenant that a node takes per second, and half as many at once. Default: as many as the node takes.",
    for: servers,
  },
  authorizeUrl: {
    type: hookUrl,
    help: "Backend that decides about rooms which a token does not open: it is sent tenant, user, room and action (join or publish), and answers with allow.",
    for: servers,
  },
  authorizeToken: {
    type: bearer,
    help: "Sent to that backend as `Authorization: Bearer`. Other users of the machine can read flags: prefer the environment or a file.",
    for: servers,
  },
  authorizeTimeout: {
    type: timeout,
    default: "2s",
    help: "Without an answer after so long the room is refused.",
    for: servers,
  },
  authorizeCache: {
    type: duration(0, 86_400_000),
    default: "30s",
    help: "How long an answer is remembered.",
    for: servers,
  },
  alertWindow: {
    type: duration(0, 86_400_000),
    default: "5m",
    help: "Age up to which a message that comes late still asks for a sound.",
    for: servers,
  },
  reflection: {
    type: toggle,
    default: "true",
    help: "Serve gRPC reflection; --no-reflection turns it off.",
    for: servers,
  },
  metricsAddress: {
    type: hostAndPort,
    help: "Serve Prometheus figures at /metrics of this address; of several --workers each has the next port.",
    for: servers,
  },
  otlpEndpoint: {
    type: url,
    environment: "OTEL_EXPORTER_OTLP_ENDPOINT",
    help: "OpenTelemetry collector (OTLP over HTTP) to send traces to, such as http://127.0.0.1:4318.",
    for: servers,
  },
  logLevel: {
    type: choice("silent", "fatal", "error", "warn", "info", "debug", "trace"),
    default: "info",
    defaultOf: { dev: "warn" },
    help: "How much to log, as JSON on stderr.",
    for: servers,
  },
  url: { type: url, default: "http://127.0.0.1:7300", help: "The server.", for: calls },
  token: {
    type: jwt,
    help: "The JWT to call with. Other users of the machine can read flags: prefer the environment.",
    for: calls,
  },
  sub: { type: text, help: "Id of the user or service.", for: ["token"], flagOnly: true },
  tenant: {
    type: text,
    help: "The tenant. Only a service or admin may be without one.",
    for: ["token"],
    flagOnly: true,
  },
  role: {
    type: choice("user", "service", "admin"),
    default: "user",
    help: "What the bearer may do.",
    for: ["token"],
    flagOnly: true,
  },
  ttl: {
    type: duration(1_000, longestLife),
    defaultOf: { token: "1h" },
    help: "How long the token or message lives. Messages by default: as long as they are kept; events not at all.",
    for: ["token", "publish"],
    flagOnly: true,
  },
  iss: { type: text, help: "The claim `iss`. Default: --jwt-issuer.", for: ["token"], flagOnly: true },
  aud: { type: text, help: "The claim `aud`. Default: --jwt-audience.", for: ["token"], flagOnly: true },
  id: {
    type: text,
    help: "Id of the token, by which it can be blocked: its claim `jti`.",
    for: ["token"],
    flagOnly: true,
  },
  canPublish: {
    type: repeated(text),
    help: "A room that the user may publish to; may be repeated.",
    for: ["token"],
    flagOnly: true,
  },
  toUser: { type: text, help: "To one user.", for: publish, flagOnly: true },
  toUsers: { type: list(text), help: "To several users, at most 10,000.", for: publish, flagOnly: true },
  toRoom: {
    type: text,
    help: "To the members of a room; dm/ada/bob is that of ada and bob.",
    for: publish,
    flagOnly: true,
  },
  toTenant: { type: toggle, help: "To every user of the tenant.", for: publish, flagOnly: true },
  toEveryone: { type: toggle, help: "To every user of every tenant.", for: publish, flagOnly: true },
  kind: {
    type: choice("notification", "activity", "event"),
    default: "notification",
    help: "What the message is: a notification is unread until marked.",
    for: publish,
    flagOnly: true,
  },
  title: { type: text, help: "One line of plain text.", for: publish, flagOnly: true },
  content: { type: text, help: "Plain text.", for: publish, flagOnly: true },
  category: { type: text, help: "By what readers filter and count, such as system.", for: publish, flagOnly: true },
  link: { type: text, help: "Where a click leads: https, http or relative.", for: publish, flagOnly: true },
  event: { type: text, help: "The name that pages listen for.", for: publish, flagOnly: true },
  jsonPayload: { type: json, help: "Data for programs: any JSON value.", for: publish, flagOnly: true },
  requestId: { type: text, help: "Makes it safe to repeat the command.", for: publish, flagOnly: true },
  replace: {
    type: toggle,
    default: "false",
    help: "Take back the message of this --request-id, and publish this one in its place: unread and new.",
    for: publish,
    flagOnly: true,
  },
  batchId: { type: text, help: "A name for messages that belong together.", for: publish, flagOnly: true },
  tenantId: {
    type: text,
    help: "The tenant, for a token that is bound to none.",
    for: ["publish", "online", "disconnect"],
    flagOnly: true,
  },
  room: {
    type: repeated(text),
    help: "A room: one to enter (tail), one to count (online), one that the user may enter (token). For tail and token it may be repeated.",
    for: ["token", "tail", "online"],
    flagOnly: true,
  },
  users: { type: list(text), help: "Only these users, each with a line.", for: ["online"], flagOnly: true },
  categories: { type: list(text), help: "Only these categories.", for: ["tail", "unread"], flagOnly: true },
  kinds: {
    type: list(choice("notification", "activity", "event")),
    help: "Only these kinds.",
    for: ["tail"],
    flagOnly: true,
  },
  events: { type: list(text), help: "Only messages of these event names.", for: ["tail"], flagOnly: true },
  limit: { type: whole(1, 100_000), default: "20", help: "List at most so many.", for: ["unread"], flagOnly: true },
  mark: { type: toggle, default: "false", help: "Then mark as read what was listed.", for: ["unread"], flagOnly: true },
  user: { type: text, help: "The user whose streams end.", for: disconnect, flagOnly: true },
  tokenId: { type: text, help: "Only what came by the token of this id.", for: disconnect, flagOnly: true },
  blockFor: {
    type: duration(1_000, longestLife),
    help: "Keep the user, or the token, out for so long.",
    for: disconnect,
    flagOnly: true,
  },
  blockUntil: {
    type: instant,
    help: "Keep the user, or the token, out until then; a time that has passed lifts an earlier block.",
    for: disconnect,
    flagOnly: true,
  },
  reason: { type: text, help: "Told to the streams that end.", for: disconnect, flagOnly: true },
  json: { type: toggle, default: "false", help: "Print JSON, one document per line.", for: everywhere, flagOnly: true },
} as const satisfies Record<string, Setting<unknown>>;

/** The name of an option, as in the file. */
export type SettingName = keyof typeof settings;

/** The names of all options. */
export const settingNames = Object.keys(settings) as SettingName[];

type ValueOf<S> = S extends { readonly type: Type<infer T> }
  ? S extends { readonly default: string }
    ? T
    : T | undefined
  : never;

/** The values of all options. */
export type Values = { readonly [Name in SettingName]: ValueOf<(typeof settings)[Name]> };

/** An option without its literal types. */
export function settingOf(name: SettingName): Setting<unknown> {
  return settings[name];
}

/** `jwtSecret` → `jwt-secret`, without the dashes before it. */
export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `jwtSecret` → `TIDINGS_JWT_SECRET`. */
export function environmentName(name: string): string {
  return `TIDINGS_${flagName(name).replaceAll("-", "_").toUpperCase()}`;
}
