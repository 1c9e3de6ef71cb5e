import { expect, test } from "vitest";
import { isBusUrl, isStoreUrl, passwordsOf } from "../../src/adapters/urls.ts";

test.each([
  "mongodb://localhost/tidings",
  "mongodb://a:27017,b:27017,c/tidings?replicaSet=rs0&w=majority",
  "mongodb://user:p%40ss@[::1]:27017/tidings?authSource=admin",
  "mongodb+srv://user:pass@cluster.example.net/tidings",
])("isStoreUrl accepts %s", (url) => expect(isStoreUrl(url)).toBe(true));

test.each([
  "",
  "mongodb:",
  "mongodb://",
  "mongodb://a",
  "mongodb://a/",
  "mongodb://a/x/y",
  "mongodb://a b/x",
  "mongo://a/x",
  "a/x",
])("isStoreUrl refuses %j", (url) => expect(isStoreUrl(url)).toBe(false));

test.each([
  "redis://localhost",
  "redis://:pass@localhost:6379/3",
  "rediss://user:pass@cache.example.net:6380",
  "redis+cluster://a:6379,b:6379",
  "redis+sentinel://:pass@a,b:26379/mymaster",
  "redis+sentinel://a/mymaster/2",
  "redis://localhost?prefix=shop",
  "redis+sentinel://a,b/mymaster/2?prefix=shop-1",
  "redis+cluster://a,b?prefix=a.b:c_d",
])("isBusUrl accepts %s", (url) => expect(isBusUrl(url)).toBe(true));

test.each([
  "",
  "redis://",
  "redis://a/x",
  "redis://a,b",
  "redis+sentinel://a",
  "redis+cluster://a/1",
  "http://a",
  "redis://a b",
  "redis://a?prefix=",
  "redis://a?prefix={x}",
  "redis://a?prefix=x&y=z",
  "redis://a?other=x",
])("isBusUrl refuses %j", (url) => expect(isBusUrl(url)).toBe(false));

test.each([
  ["mongodb://user:p%40ss@a,b/x", ["p%40ss", "p@ss"]],
  ["redis://:word@a", ["word"]],
  ["redis://user:%zz@a", ["%zz"]],
  ["redis://user@a", []],
  ["redis://a:6379/0", []],
])("passwordsOf finds every form of the password in %s", (url, passwords) =>
  expect(passwordsOf(url)).toEqual(passwords),
);
