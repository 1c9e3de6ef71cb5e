import { type Logger, pino } from "pino";
import { expect, test } from "vitest";
import { memoryBus, memoryPresence } from "../src/adapters/memory/index.ts";
import { sqliteStore } from "../src/adapters/sqlite/index.ts";
import { mintToken } from "../src/auth/mint-token.ts";
import type { TidingsOptions } from "../src/options.ts";
import { createTidings, type ListenOptions, type Tidings } from "../src/server.ts";
import { secret } from "./support/token.ts";

const auth = { secret };

/** Counts the calls of some methods, by name. */
function counted<Port extends object>(port: Port, ...names: readonly (keyof Port & string)[]) {
  const calls: Record<string, number> = {};
  const proxy = new Proxy(port, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if ((names as readonly PropertyKey[]).includes(name)) calls[String(name)] = (calls[String(name)] ?? 0) + 1;
        return (value as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  return { proxy, calls };
}

/** Lines that a server logs between its start and its end. */
async function linesOf(start: (logger: Logger) => Promise<Tidings>): Promise<string[]> {
  const lines: string[] = [];
  const logger = pino({ level: "warn" }, { write: (line) => void lines.push(line) });
  await (await start(logger)).close();
  return lines.map((line) => (JSON.parse(line) as { msg: string }).msg);
}

test("A server runs on ports that are given as objects, opens the store, and closes all three once", async () => {
  const store = counted(sqliteStore({ folder: ":memory:" }), "open", "close");
  const bus = counted(memoryBus(), "subscribe", "close");
  const presence = counted(memoryPresence(), "watch", "close");
  const tidings = await createTidings({ store: store.proxy, bus: bus.proxy, presence: presence.proxy, auth });
  expect(store.calls).toEqual({ open: 1 });
  expect(bus.calls.subscribe).toBeGreaterThan(0);
  expect(presence.calls.watch).toBeGreaterThan(0);
  await Promise.all([tidings.close(), tidings.close()]);
  for (const { calls } of [store, bus, presence]) expect(calls.close).toBe(1);
});

test("A server that cannot open its store closes the ports that it was given", async () => {
  const store = sqliteStore({ folder: ":memory:" });
  store.open = () => Promise.reject(new Error("no disk"));
  const bus = counted(memoryBus(), "close");
  const presence = counted(memoryPresence(), "close");
  const starting = createTidings({ store, bus: bus.proxy, presence: presence.proxy, auth });
  await expect(starting).rejects.toThrow("no disk");
  for (const { calls } of [bus, presence]) expect(calls.close).toBe(1);
});

test("A server with a bus between nodes and no presence warns that it counts alone", async () => {
  const options = { data: ":memory:", bus: memoryBus(), auth };
  expect(await linesOf((logger) => createTidings({ ...options, logger }))).toEqual([
    "no presence: this node counts its own connections only, and admits to rooms by them alone",
  ]);
  const whole = { ...options, bus: memoryBus(), presence: memoryPresence() };
  expect(await linesOf((logger) => createTidings({ ...whole, logger }))).toEqual([]);
});

test("A server changes nothing when it is asked to reload a wrong value", async () => {
  const tidings = await createTidings({ data: ":memory:", auth });
  const { url } = await tidings.listen({ port: 0 });
  const statusOf = async (key: string) => {
    const exp = Math.floor(Date.now() / 1000) + 60;
    const token = await mintToken(key, { sub: "ann", tenant: "acme", role: "user", exp });
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    return (await fetch(`${url}/tidings.v1.PushService/ListUnread`, { method: "POST", headers, body: "{}" })).status;
  };
  const fresh = "k3yF0rTe5ts-0nly-q8Zr2Vw6Xn4Bm1Lc";
  expect(() => tidings.reload({ secret: "short" })).toThrow("auth.secret: too weak");
  expect(() => tidings.reload({ secret: fresh, tls: { key: "no", cert: "no" } })).toThrow();
  expect([await statusOf(secret), await statusOf(fresh)]).toEqual([200, 401]);
  tidings.reload({ secret: fresh });
  expect([await statusOf(secret), await statusOf(fresh)]).toEqual([401, 200]);
  await tidings.close();
});

test.each<[object, string]>([
  [{ retension: { days: 3 } }, "options: unknown key retension; did you mean retention?"],
  [{ auth: { secret, isuer: "me" } }, "auth: unknown key isuer; did you mean issuer?"],
  [{ retention: { dys: 3 } }, "retention: unknown key dys; did you mean days?"],
  [{ timeouts: { stall: 3 } }, "timeouts: unknown key stall"],
  [{ limits: { callsPerUsers: 3 } }, "limits: unknown key callsPerUsers; did you mean callsPerUser?"],
  [
    { limits: { callsPerUser: { perSecond: 3, brust: 3 } } },
    "limits.callsPerUser: unknown key brust; did you mean burst?",
  ],
  [{ quotas: { feeds: 3 } }, "quotas: unknown key feeds"],
  [{ admission: { perSeconds: 3 } }, "admission: unknown key perSeconds; did you mean perSecond?"],
  [{ authorize: { uri: "https://a.example" } }, "authorize: unknown key uri; did you mean url?"],
  [{ tracing: { xyz: 1 } }, "tracing: unknown key xyz; known keys are endpoint, service"],
  [{ retention: 3 }, "retention: must be an object"],
])("A server refuses options with a misspelled key: %j", async (wrong, message) => {
  await expect(createTidings({ data: ":memory:", auth, ...wrong } as TidingsOptions)).rejects.toThrow(message);
});

test("A server refuses misspelled keys of listen and reload", async () => {
  const tidings = await createTidings({ data: ":memory:", auth });
  await expect(tidings.listen({ prot: 0 } as ListenOptions)).rejects.toThrow(
    "listen: unknown key prot; did you mean port?",
  );
  expect(() => tidings.reload({ secrets: secret } as object)).toThrow("reload: unknown key secrets");
  await tidings.close();
});
