import { Cluster, type Redis } from "ioredis";
import { describe, expect, test } from "vitest";
import { connectRedis, prefixOf } from "../../../src/adapters/redis/connect.ts";

/** Makes the connection of a URL, and ends it before it connects. */
function connectionOf(url: string): Redis | Cluster {
  const connection = connectRedis(url);
  connection.on("error", () => {});
  connection.disconnect();
  return connection;
}

describe("The URL of Redis", () => {
  test.each([
    ["redis://127.0.0.1:1/3", { host: "127.0.0.1", port: 1, db: 3 }],
    ["redis://cache", { host: "cache", port: 6379 }],
    ["redis://:p%40ss@[::1]:2", { host: "::1", port: 2, password: "p@ss" }],
    ["redis://cache/3?prefix=shop", { host: "cache", db: 3 }],
    ["redis+sentinel://b/main/2?prefix=shop", { name: "main", db: 2 }],
    ["rediss://me:it@127.0.0.1:1/", { username: "me", password: "it", tls: {} }],
    [
      "redis+sentinel://me:it@127.0.0.1:1,b/main/2",
      {
        sentinels: [
          { host: "127.0.0.1", port: 1 },
          { host: "b", port: 26379 },
        ],
        name: "main",
        db: 2,
        password: "it",
      },
    ],
  ])("sets the options of the driver: %s", (url, options) => {
    expect(connectionOf(url).options).toMatchObject(options);
  });

  test.each([
    ["redis://cache", "tidings"],
    ["redis://u:p@cache/3?prefix=shop", "shop"],
    ["rediss+sentinel://a,b/main/2?prefix=shop-1", "shop-1"],
    ["redis+cluster://a,b?prefix=a.b:c", "a.b:c"],
  ])("names the prefix of keys and channels: %s", (url, prefix) => {
    expect(prefixOf(url)).toBe(prefix);
  });

  test("may be that of a Cluster", () => {
    const cluster = connectionOf("rediss+cluster://me:it@127.0.0.1:1,b:2") as Cluster;
    expect(cluster).toBeInstanceOf(Cluster);
    expect(cluster.options.redisOptions).toMatchObject({ username: "me", password: "it", tls: {} });
  });

  test.each([
    "",
    "http://a",
    "redis://",
    "redis://a:b",
    "redis://a,b",
    "redis://a/x",
    "redis+sentinel://a",
    "redis+cluster://a/1",
    "redis+other://a",
    "redis://a?prefix={x}",
    "redis://a?db=1",
  ])("is refused when it has another form: %s", (url) => {
    expect(() => connectionOf(url)).toThrow(TypeError);
  });
});
