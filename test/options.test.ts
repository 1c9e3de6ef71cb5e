import { describe, expect, test } from "vitest";
import { memoryBus, memoryPresence } from "../src/adapters/memory/index.ts";
import { sqliteStore } from "../src/adapters/sqlite/index.ts";
import { isWeakSecret, resolveOptions, type TidingsOptions } from "../src/options.ts";
import { secret } from "./support/token.ts";

const least: TidingsOptions = { data: ":memory:", auth: { secret } };

describe("Options", () => {
  test("have the documented defaults", () => {
    expect(resolveOptions(least)).toMatchObject({
      data: ":memory:",
      retention: { days: 365, count: 10_000 },
      timeouts: { headersMs: 10_000, requestMs: 30_000, idleMs: 75_000, stallMs: 30_000 },
      allowedOrigins: [],
      maxMessageBytes: 65_536,
      heartbeatMs: 25_000,
      drainMs: 5_000,
      maxStreamsPerUser: 100,
      newcomerDays: 7,
      reflection: true,
      logger: undefined,
    });
  });

  test("keep given values beside the defaults of the others", () => {
    const settings = resolveOptions({
      ...least,
      retention: { days: 3 },
      timeouts: { stallMs: 1 },
      drainMs: 0,
      newcomerDays: 0,
      reflection: false,
    });
    expect(settings.retention).toEqual({ days: 3, count: 10_000 });
    expect(settings.timeouts).toMatchObject({ stallMs: 1, headersMs: 10_000 });
    expect(settings).toMatchObject({ drainMs: 0, newcomerDays: 0, reflection: false });
  });

  test.each<[string, Partial<TidingsOptions>]>([
    ["retention.days", { retention: { days: 0 } }],
    ["retention.count", { retention: { count: 0 } }],
    ["timeouts.headersMs", { timeouts: { headersMs: 0 } }],
    ["timeouts.requestMs", { timeouts: { requestMs: -1 } }],
    ["timeouts.idleMs", { timeouts: { idleMs: Number.NaN } }],
    ["timeouts.stallMs", { timeouts: { stallMs: Number.POSITIVE_INFINITY } }],
    ["maxMessageBytes", { maxMessageBytes: 0 }],
    ["heartbeatMs", { heartbeatMs: 9 }],
    ["drainMs", { drainMs: -1 }],
    ["drainDelayMs", { drainDelayMs: -1 }],
    ["admission.perSecond", { admission: { perSecond: 0 } }],
    ["admission.burst", { admission: { burst: 0 } }],
    ["admission.perTenant", { admission: { perTenant: 0 } }],
    ["maxStreamsPerUser", { maxStreamsPerUser: 0 }],
    ["newcomerDays", { newcomerDays: -1 }],
  ])("that are out of range are refused by name: %s", (name, wrong) => {
    expect(() => resolveOptions({ ...least, ...wrong })).toThrow(RangeError);
    expect(() => resolveOptions({ ...least, ...wrong })).toThrow(`${name}:`);
  });

  test("without a data folder or a store are refused", () => {
    expect(() => resolveOptions({ ...least, data: "" })).toThrow("data:");
  });

  test("name the embedded store or a shared one, and a bus URL only beside the latter", () => {
    const { auth } = least;
    const store = "mongodb://user:s3cret@a,b:27018/tidings?replicaSet=rs0";
    const bus = "redis://:s3cret@cache:6379/2";
    expect(resolveOptions({ auth, store, bus })).toMatchObject({ data: undefined, store, bus });
    expect(resolveOptions({ auth, store })).toMatchObject({ store, bus: undefined });
    expect(() => resolveOptions({ ...least, store })).toThrow("store: leave out data");
    expect(() => resolveOptions({ ...least, bus })).toThrow("bus: needs a store that nodes share");
    expect(() => resolveOptions({ auth, store, bus: "s3cret" })).toThrow(/^bus: must be a redis:(?!.*s3cret)/);
    expect(() => resolveOptions({ auth, store: "s3cret" })).toThrow(/^store: must be a mongodb:(?!.*s3cret)/);
  });

  test("accept objects for ports, and a bus object beside the embedded store, too", async () => {
    const { auth } = least;
    const [bus, presence, store] = [memoryBus(), memoryPresence(), sqliteStore({ folder: ":memory:" })];
    const settings = resolveOptions({ auth, store, bus, presence });
    expect([settings.store, settings.bus, settings.presence]).toEqual([store, bus, presence]);
    expect(resolveOptions({ ...least, bus })).toMatchObject({ data: ":memory:", bus });
    expect(() => resolveOptions({ ...least, store })).toThrow("store: leave out data");
    expect(() => resolveOptions({ auth, store, retention: { count: 5 } })).toThrow("retention.count: a store");
    expect(resolveOptions({ auth, store, retention: { days: 5 } }).retention.days).toBe(5);
    await Promise.all([store, bus, presence].map((port) => port.close()));
  });

  test("admit 500 new streams a second, half of them at once, unless they say otherwise", () => {
    const open = { perTenant: Number.POSITIVE_INFINITY };
    expect(resolveOptions(least).admission).toEqual({ ...open, perSecond: 500, burst: 250 });
    expect(resolveOptions({ ...least, admission: { perSecond: 3 } }).admission).toEqual({
      ...open,
      perSecond: 3,
      burst: 2,
    });
    expect(resolveOptions({ ...least, admission: { burst: 9 } }).admission).toEqual({
      ...open,
      perSecond: 500,
      burst: 9,
    });
    expect(resolveOptions({ ...least, admission: { perTenant: 7 } }).admission.perTenant).toBe(7);
  });

  test("require exactly one way to check tokens", () => {
    const jwksUrl = "https://id.example.com/jwks.json";
    expect(() => resolveOptions({ ...least, auth: {} })).toThrow("auth:");
    expect(() => resolveOptions({ ...least, auth: { secret, jwksUrl } })).toThrow("auth:");
    expect(() => resolveOptions({ ...least, auth: { jwksUrl: "file:///etc/keys" } })).toThrow("auth.jwksUrl:");
    expect(resolveOptions({ ...least, auth: { jwksUrl } }).auth).toEqual({ jwksUrl });
  });

  test.each(["", "short", "a".repeat(64), "abcdefg".repeat(10), "0123456789abcdef0123456789abcde"])(
    "refuse the weak secret %j",
    (weak) => {
      expect(isWeakSecret(weak)).toBe(true);
      expect(() => resolveOptions({ ...least, auth: { secret: weak } })).toThrow("auth.secret:");
    },
  );

  test.each(["0123456789abcdef0123456789abcdef", "pässwörtchen aus elf verschiedenen"])(
    "accept the secret %j",
    (strong) => {
      expect(isWeakSecret(strong)).toBe(false);
    },
  );
});
