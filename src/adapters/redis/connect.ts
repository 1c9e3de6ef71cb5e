/** Connections to Redis by URL: a single server, Sentinel or Cluster. */
import { Cluster, Redis, type RedisOptions } from "ioredis";

type Options = Omit<RedisOptions, "replyMapping">;

/** Where Redis is. */
interface Place {
  readonly kind: "server" | "sentinel" | "cluster";
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  /** Sentinel's name of the master. */
  readonly master: string;
  readonly options: Readonly<Pick<RedisOptions, "username" | "password" | "db" | "tls">>;
}

const pattern =
  /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/]*)@)?([^/?#]+)((?:\/[^/?#]*)*)(?:\?prefix=([\w.:-]{1,64}))?$/;
const forms =
  "redis://host:port/db, redis+sentinel://host:port,host:port/master/db or redis+cluster://host:port,host:port " +
  "(rediss for TLS; user:password@ before the first host; ?prefix=name at the end)";

/**
 * What nobody waits for: a command that cannot be sent now fails at once, and so does one whose connection breaks. What
 * it was to do is told anew when Redis is back. RESP2, which every server and proxy speaks.
 */
const impatient = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  connectTimeout: 3_000,
  disconnectTimeout: 500,
  protocol: 2,
} as const;

/** Connects, and again for ever. Throws a TypeError for a URL of another form. */
export function connectRedis(url: string): Redis | Cluster {
  const { kind, hosts, master, options } = parse(url);
  if (kind === "cluster") {
    const { enableOfflineQueue, ...redisOptions } = { ...impatient, ...options };
    return new Cluster([...hosts], { enableOfflineQueue, clusterRetryStrategy: retryAfter, redisOptions });
  }
  const common: Options = { ...impatient, ...options, retryStrategy: retryAfter };
  if (kind === "server") return new Redis({ ...common, ...hosts[0] } as Options);
  const { tls } = options;
  const sentinel: Options = {
    sentinels: [...hosts],
    name: master,
    failoverDetector: true,
    sentinelRetryStrategy: retryAfter,
    ...(tls ? { sentinelTLS: tls, enableTLSForSentinelMode: true } : {}),
  };
  return new Redis({ ...common, ...sentinel });
}

/** What stands before the names of all keys and channels, so that several services can share a Redis. Default `tidings`. */
export function prefixOf(url: string): string {
  return pattern.exec(url)?.[6] ?? "tidings";
}

/** From 50 ms to a second, so that all is right again soon; spread, so that all nodes do not come at once. */
function retryAfter(times: number): number {
  return Math.min(50 * 2 ** Math.min(times, 10), 1000) * (0.5 + Math.random() / 2);
}

/** URL has no room for several hosts, so that the parts are taken by hand. */
function parse(url: string): Place {
  const [, scheme, kind = "server", login = "", list = "", path = ""] = pattern.exec(url) ?? [];
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
    kind: kind as Place["kind"],
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
