import { describe, expect, test } from "vitest";
import { memoryBus, memoryPresence } from "../src/adapters/memory/index.ts";
import { sqliteStore } from "../src/adapters/sqlite/index.ts";
import type { LimitOptions, QuotaOptions } from "../src/limit-options.ts";
import { resolveOptions, type TidingsOptions } from "../src/options.ts";
import { secretFault } from "../src/util/secret-fault.ts";
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
      maxBatchEntries: 100_000,
      heartbeatMs: 25_000,
      drainMs: 5_000,
      maxStreamsPerUser: 100,
      publicStreams: 500,
      inFlight: { connectionBytes: 16_777_216, userBytes: 33_554_432 },
      rapidResets: 100,
      newcomerDays: 7,
      directRooms: "open",
      reservedCategories: ["admin", "system"],
      reflection: true,
      durableStreams: true,
      auth: { cookie: undefined },
      openapi: true,
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

  test.each(["", "a=b", "a b", "a;b", "ä"])("refuse %j as the name of the cookie that has the token", (cookie) => {
    expect(() => resolveOptions({ ...least, auth: { secret, cookie } })).toThrow("auth.cookie: must be the name");
  });

  test("let only the hook decide about direct rooms where there is one", () => {
    expect(() => resolveOptions({ ...least, directRooms: "hook" })).toThrow(
      "directRooms: the policy `hook` needs authorize",
    );
    const wrong = { ...least, directRooms: "closed" } as unknown as TidingsOptions;
    expect(() => resolveOptions(wrong)).toThrow("directRooms: must be one of open, grant, hook, off");
    const hooked = { ...least, directRooms: "hook", authorize: { url: "https://app.example.com" } } as const;
    expect(resolveOptions(hooked).directRooms).toBe("hook");
  });

  test.each<[string, Partial<TidingsOptions>]>([
    ["retention.days", { retention: { days: 0 } }],
    ["retention.count", { retention: { count: 0 } }],
    ["timeouts.headersMs", { timeouts: { headersMs: 0 } }],
    ["timeouts.headersMs", { timeouts: { headersMs: 5_001, requestMs: 5_000 } }],
    ["timeouts.requestMs", { timeouts: { requestMs: -1 } }],
    ["timeouts.idleMs", { timeouts: { idleMs: Number.NaN } }],
    ["timeouts.stallMs", { timeouts: { stallMs: Number.POSITIVE_INFINITY } }],
    ["maxMessageBytes", { maxMessageBytes: 0 }],
    ["maxBatchEntries", { maxBatchEntries: 0 }],
    ["ringBytes", { ringBytes: -1 }],
    ["heartbeatMs", { heartbeatMs: 9 }],
    ["drainMs", { drainMs: -1 }],
    ["drainDelayMs", { drainDelayMs: -1 }],
    ["admission.perSecond", { admission: { perSecond: 0 } }],
    ["admission.burst", { admission: { burst: 0 } }],
    ["admission.perTenant", { admission: { perTenant: 0 } }],
    ["publicStreams", { publicStreams: 0 }],
    ["inFlight.connectionBytes", { inFlight: { connectionBytes: 1 } }],
    ["inFlight.userBytes", { inFlight: { userBytes: Number.NaN } }],
    ["inFlight.nodeBytes", { inFlight: { nodeBytes: 0 } }],
    ["rapidResets", { rapidResets: 0 }],
    ["maxStreamsPerUser", { maxStreamsPerUser: 0 }],
    ["newcomerDays", { newcomerDays: -1 }],
    ["auth.leewayMs", { auth: { secret, leewayMs: -1 } }],
    ["auth.maxTokenDays", { auth: { secret, maxTokenDays: 0 } }],
    ["auth.maxTokenDays", { auth: { secret, maxTokenDays: Number.POSITIVE_INFINITY } }],
    ["auth.jwksRefreshMs", { auth: { secret, jwksRefreshMs: 999 } }],
    ["auth.jwksMaxStaleMs", { auth: { secret, jwksRefreshMs: 2_000, jwksMaxStaleMs: 1_999 } }],
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
    const loose = (options: object) => () => resolveOptions({ auth, ...options } as TidingsOptions);
    for (const store of [{}, null, 7]) expect(loose({ store })).toThrow("store: its method open is missing");
    expect(loose({ data: "d", bus: { publish: () => {} } })).toThrow("bus: its method subscribe is missing");
    expect(loose({ data: "d", presence: [] })).toThrow("presence: its method enter is missing");
    expect(loose({ data: "d", limiter: {} })).toThrow("limiter: its method take is missing");
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

  test("limit users by default, take a rate with or without a burst, and refuse what is no rate", () => {
    const limits = (given: unknown) => resolveOptions({ ...least, limits: given as LimitOptions }).limits;
    expect(limits(undefined)).toMatchObject({ publishesPerUser: { perSecond: 20, burst: 100 } });
    expect(limits(undefined).publishesPerTenant).toBeUndefined();
    expect(limits({ publishesPerTenant: 4 }).publishesPerTenant).toEqual({ perSecond: 4, burst: 20 });
    expect(limits({ publishesPerTenant: 0.1 }).publishesPerTenant).toEqual({ perSecond: 0.1, burst: 1 });
    expect(limits({ bytesPerUser: { perSecond: 9, burst: 2 } }).bytesPerUser).toEqual({ perSecond: 9, burst: 2 });
    expect(limits({ publishesPerUser: Number.POSITIVE_INFINITY }).publishesPerUser).toBeUndefined();
    for (const wrong of [0, -1, Number.NaN, { perSecond: 0, burst: 1 }]) {
      expect(() => limits({ bytesPerUser: wrong })).toThrow(/^limits\.bytesPerUser: /);
    }
    expect(() => limits({ bytesPerUser: { perSecond: 1, burst: 0 } })).toThrow("limits.bytesPerUser.burst:");
  });

  test("have no quotas by default, and refuse one below 1", () => {
    const none = { storedBytesPerTenant: Number.POSITIVE_INFINITY, feedsPerTenant: Number.POSITIVE_INFINITY };
    const quotas = (given: unknown) => resolveOptions({ ...least, quotas: given as QuotaOptions }).quotas;
    expect(quotas(undefined)).toEqual(none);
    expect(quotas({ feedsPerTenant: 5 })).toEqual({ ...none, feedsPerTenant: 5 });
    expect(() => quotas({ feedsPerTenant: 0 })).toThrow("quotas.feedsPerTenant:");
    expect(() => quotas({ storedBytesPerTenant: Number.NaN })).toThrow("quotas.storedBytesPerTenant:");
  });

  test("require exactly one way to verify tokens", () => {
    const jwksUrl = "https://id.example.com/jwks.json";
    expect(() => resolveOptions({ ...least, auth: {} })).toThrow("auth:");
    expect(() => resolveOptions({ ...least, auth: { secret, jwksUrl } })).toThrow("auth:");
    expect(() => resolveOptions({ ...least, auth: { jwksUrl: "file:///etc/keys" } })).toThrow("auth.jwksUrl:");
    expect(resolveOptions({ ...least, auth: { jwksUrl } }).auth).toMatchObject({ jwksUrl, secrets: [] });
    const bySecret = { jwksUrl: undefined, secrets: [secret] };
    expect(resolveOptions({ ...least, auth: { secret } }).auth).toMatchObject(bySecret);
  });

  test("limit the times of tokens and of the key set as documented", () => {
    const times = { leewayMs: 30_000, maxTokenDays: 400, jwksRefreshMs: 300_000, jwksMaxStaleMs: 3_600_000 };
    expect(resolveOptions(least).auth).toMatchObject(times);
    const set = { leewayMs: 0, maxTokenDays: 1, jwksRefreshMs: 1_000, jwksMaxStaleMs: 1_000 };
    expect(resolveOptions({ ...least, auth: { secret, ...set } }).auth).toMatchObject(set);
    const rare = { secret, jwksRefreshMs: 7_200_000 };
    expect(resolveOptions({ ...least, auth: rare }).auth.jwksMaxStaleMs).toBe(7_200_000);
  });

  test("accept up to four secrets, and refuse a list with a weak one", () => {
    const secrets = [secret, ...[1, 2, 3].map((number) => `${secret} and number ${number}`)];
    expect(resolveOptions({ ...least, auth: { secret: secrets } }).auth.secrets).toEqual(secrets);
    for (const wrong of [[], [...secrets, `${secret}!`]]) {
      expect(() => resolveOptions({ ...least, auth: { secret: wrong } })).toThrow("auth.secret: give 1 to 4 secrets");
    }
    for (const wrong of ["short", "", "replace-me"]) {
      expect(() => resolveOptions({ ...least, auth: { secret: [secret, wrong] } })).toThrow("auth.secret:");
    }
  });

  test.each([
    "https://id.example.com/jwks.json?v=1",
    "http://localhost:8080/jwks",
    "http://127.0.0.1/jwks",
    "http://127.8.9.10:1/",
    "http://[::1]:8080/jwks",
  ])("accept the key set at %s", (jwksUrl) => {
    expect(resolveOptions({ ...least, auth: { jwksUrl } }).auth.jwksUrl).toBe(jwksUrl);
  });

  test.each([
    "http://id.example.com/jwks.json",
    "http://10.0.0.7/jwks",
    "http://localhost.example.com/jwks",
    "http://127.0.0.1.example.com/jwks",
    "http://[2001:db8::1]/jwks",
    "https://user:s3cret@id.example.com/jwks",
    "https://id.example.com/jwks#keys",
    "ftp://localhost/jwks",
    "//localhost/jwks",
    "",
  ])("refuse the key set at %j", (jwksUrl) => {
    expect(() => resolveOptions({ ...least, auth: { jwksUrl } })).toThrow(
      /^auth\.jwksUrl: must be an https URL(?!.*s3cret)/,
    );
  });

  test.each([
    "replace-me",
    "replace-me-openssl-rand-base64-32",
    "REPLACE_ME_WITH_32_RANDOM_BYTES_PLEASE",
    "changeme-changeme-0123456789-abcdef",
    "change this secret before you deploy it 123",
    "your-256-bit-secret-0123456789abcdef",
    "a-string-secret-at-least-256-bits-long",
    "super-secret-jwt-token-with-at-least-32-characters-long",
    "<the output of openssl rand -base64 32>",
    "this is a placeholder of 38 characters!",
  ])("refuse the published placeholder %j as a secret", (placeholder) => {
    expect(() => resolveOptions({ ...least, auth: { secret: placeholder } })).toThrow(
      "auth.secret: a placeholder that everybody knows; use 32 random bytes",
    );
  });

  test("refuse a placeholder as the password of a store, a bus or a hook", () => {
    const { auth } = least;
    const store = "mongodb://tidings:replace-me@mongo/tidings";
    expect(() => resolveOptions({ auth, store })).toThrow("store: its password is a placeholder");
    const bus = "redis://:replace%2Dme@redis:6379";
    const shared = "mongodb://mongo/tidings";
    expect(() => resolveOptions({ auth, store: shared, bus })).toThrow("bus: its password is a placeholder");
    const authorize = { url: "https://app.example.com", token: "changeme" };
    expect(() => resolveOptions({ ...least, authorize })).toThrow("authorize.token: is a placeholder");
  });

  test("refuse no auth at all, and one origin in place of an array", () => {
    const loose = (options: object) => () => resolveOptions(options as TidingsOptions);
    expect(loose({ data: ":memory:" })).toThrow("auth: give exactly one");
    expect(loose({ ...least, allowedOrigins: "https://a.example" })).toThrow("allowedOrigins: must be an array");
    expect(loose({ ...least, trustedProxies: "10.0.0.1" })).toThrow("trustedProxies: must be an array");
    expect(loose({ ...least, trustedProxies: ["10.0.0.0/99"] })).toThrow('trustedProxies: "10.0.0.0/99" is not an IP');
  });

  test.each(["", "short", "a".repeat(64), "abcdefg".repeat(10), "0123456789abcdef0123456789abcde"])(
    "refuse the weak secret %j",
    (weak) => {
      expect(secretFault(weak)).toMatch("too weak; use 32 random bytes");
      expect(() => resolveOptions({ ...least, auth: { secret: weak } })).toThrow("auth.secret:");
    },
  );

  test.each(["0123456789abcdef0123456789abcdef", "pässwörtchen aus elf verschiedenen"])(
    "accept the secret %j",
    (strong) => {
      expect(secretFault(strong)).toBeUndefined();
    },
  );
});
