/** Connections to Redis by URL: a single server, Sentinel or Cluster. */
import { Cluster, Redis, type RedisOptions } from "ioredis";
import { backoffMs } from "../../util/backoff.ts";

type Options = Omit<RedisOptions, "replyMapping">;

/** A parsed URL. */
interface Address {
  readonly kind: "server" | "sentinel" | "cluster";
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  /** The name of the master in Sentinel, else "". */
  readonly master: string;
  readonly options: Readonly<Pick<RedisOptions, "username" | "password" | "db" | "tls">>;
}

const urlPattern =
  /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/]*)@)?([^/?#]+)((?:\/[^/?#]*)*)(?:\?prefix=([\w.:-]{1,64}))?$/;
const forms =
  "redis://host:port/db, redis+sentinel://host:port,host:port/master/db or redis+cluster://host:port,host:port " +
  "(rediss for TLS; user:password@ before the first host; ?prefix=name at the end)";

/**
 * Commands fail fast: one that cannot be sent now is not queued, and one whose connection breaks is not repeated. The
 * adapters make up for both when Redis is back. The protocol is RESP2, which every server and proxy speaks.
 */
const failFast = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  connectTimeout: 3_000,
  disconnectTimeout: 500,
  protocol: 2,
} as const;

/** Between attempts to connect. One second at most, so that a Redis that is back is soon found. */
const reconnectTimes = { baseMs: 50, capMs: 1_000 };

/** Connects in the background, and again after every loss. Throws a TypeError for a URL of another form. */
export function connectRedis(url: string): Redis | Cluster {
  const { kind, hosts, master, options } = parse(url);
  if (kind === "cluster") {
    const { enableOfflineQueue, ...redisOptions } = { ...failFast, ...options };
    return new Cluster([...hosts], { enableOfflineQueue, clusterRetryStrategy: reconnectAfter, redisOptions });
  }
  const common: Options = { ...failFast, ...options, retryStrategy: reconnectAfter };
  if (kind === "server") return new Redis({ ...common, ...hosts[0] } as Options);
  const { tls } = options;
  const sentinel: Options = {
    sentinels: [...hosts],
    name: master,
    failoverDetector: true,
    sentinelRetryStrategy: reconnectAfter,
    ...(tls ? { sentinelTLS: tls, enableTLSForSentinelMode: true } : {}),
  };
  return new Redis({ ...common, ...sentinel });
}

/** Returns the prefix of all keys and channels, which lets several services share a Redis. Default: `tidings`. */
export function prefixOf(url: string): string {
  return urlPattern.exec(url)?.[6] ?? "tidings";
}

/** Returns the wait before attempt number `attempt`, counted from 1. Jitter keeps the nodes from returning together. */
function reconnectAfter(attempt: number): number {
  return backoffMs(reconnectTimes, attempt, 0.5 + Math.random() / 2);
}

/** Parses by pattern: the class URL knows no list of hosts. */
function parse(url: string): Address {
  const [, scheme, kind = "server", login = "", list = "", path = ""] = urlPattern.exec(url) ?? [];
  if (scheme === undefined) throw new TypeError(`redis: the URL must be of the form ${forms}`);
  const parts = path.split("/").slice(1);
  const master = kind === "sentinel" ? (parts.shift() ?? "") : "";
  const db = parts.join("/");
  if (kind === "sentinel" && master === "") throw new TypeError("redis: name the master after the hosts of Sentinel");
  if (!/^\d*$/.test(db) || (kind === "cluster" && db !== "")) {
    throw new TypeError("redis: the path must be the number of a database; a cluster has none");
  }
  const colon = login.indexOf(":");
  const username = decodeURIComponent(colon < 0 ? login : login.slice(0, colon));
  const password = colon < 0 ? "" : decodeURIComponent(login.slice(colon + 1));
  const hosts = list.split(",").map((each) => toHost(each, kind === "sentinel" ? 26379 : 6379));
  if (kind === "server" && hosts.length > 1)
    throw new TypeError("redis: several hosts need redis+sentinel or redis+cluster");
  return {
    kind: kind as Address["kind"],
    hosts,
    master: decodeURIComponent(master),
    options: {
      ...(username === "" ? {} : { username }),
      ...(password === "" ? {} : { password }),
      ...(db === "" ? {} : { db: Number(db) }),
      ...(scheme === "rediss" ? { tls: {} } : {}),
    },
  };
}

function toHost(text: string, defaultPort: number): { host: string; port: number } {
  const [, ipv6, name, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(text) ?? [];
  const host = ipv6 ?? name;
  if (host === undefined) throw new TypeError(`redis: the URL must be of the form ${forms}`);
  return { host, port: port === undefined ? defaultPort : Number(port) };
}
