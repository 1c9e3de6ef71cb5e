/** The limits of new streams by user and by address, over the transports. */
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { FakeClock } from "../support/clock.ts";
import { newTenant, startServer } from "../support/server.ts";

type Outcome = "live" | { reason: string; afterMs: number };

/** Opens a stream over the bridge and closes it again. */
function openBridge(url: string, token: string, forwardedFor?: string): Promise<Outcome> {
  const headers = forwardedFor === undefined ? {} : { "X-Forwarded-For": forwardedFor };
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, "tidings.v1.json", { headers });
  return new Promise((resolve, reject) => {
    socket.on("open", () => socket.send(JSON.stringify({ token, subscribe: {} })));
    socket.on("message", (data) => {
      const { hello, goAway } = JSON.parse(String(data));
      if (!hello && !goAway) return;
      resolve(hello ? "live" : { reason: goAway.reason, afterMs: Number.parseFloat(goAway.reconnectAfter) * 1000 });
      socket.terminate();
    });
    socket.on("error", reject);
  });
}

/** Opens a stream over Connect and closes it again. */
async function openConnect(url: string, token: string): Promise<string> {
  const abort = new AbortController();
  const response = await fetch(`${url}/tidings.v1.PushService/Subscribe`, {
    method: "POST",
    headers: { "Content-Type": "application/connect+json", Authorization: `Bearer ${token}` },
    body: new Uint8Array([0, 0, 0, 0, 2, 0x7b, 0x7d]),
    signal: abort.signal,
  });
  const { value } = (await response.body?.getReader().read()) ?? {};
  abort.abort();
  const text = new TextDecoder().decode(value);
  return text.includes("hello") ? "live" : (/"reason":"(\w+)"/.exec(text)?.[1] ?? text);
}

test("A user over the limit of new streams is told when to return, and other users of the tenant are admitted", async ({
  onTestFinished,
}) => {
  const limits = { newStreamsPerUser: { perSecond: 1, burst: 3 } };
  const clock = new FakeClock();
  const server = await startServer({ clock, limits });
  onTestFinished(() => server.stop());
  const tenant = newTenant();
  const [mallory, ann] = [await server.token({ tenant, sub: "mallory" }), await server.token({ tenant, sub: "ann" })];
  for (const open of [openBridge, openConnect, openBridge]) expect(await open(server.url, mallory)).toBe("live");
  const refused = await openBridge(server.url, mallory);
  expect(refused).toMatchObject({ reason: "TOO_MANY_NEW_STREAMS" });
  // Up to the time in which the bucket fills is added, so that many pages do not return together.
  const { afterMs } = refused as Exclude<Outcome, "live">;
  expect(afterMs).toBeGreaterThanOrEqual(1_000);
  expect(afterMs).toBeLessThanOrEqual(4_000);
  expect(await openConnect(server.url, mallory)).toBe("TOO_MANY_NEW_STREAMS");
  expect(await openConnect(server.url, ann)).toBe("live");
  clock.set(clock.now() + 1_000);
  expect(await openBridge(server.url, mallory)).toBe("live");
});

test("An address behind a trusted proxy over the limit is refused, and others are admitted", async ({
  onTestFinished,
}) => {
  const limits = { newStreamsPerAddress: { perSecond: 0.001, burst: 2 } };
  const server = await startServer({ limits, trustedProxies: ["127.0.0.1"] });
  onTestFinished(() => server.stop());
  const token = await server.token({ tenant: newTenant() });
  const from = async (address: string) => {
    const outcome = await openBridge(server.url, token, address);
    return outcome === "live" ? outcome : outcome.reason;
  };
  expect(await from("2001:db8::1")).toBe("live");
  expect(await from("2001:db8::2")).toBe("live");
  expect(await from("2001:db8::3")).toBe("TOO_MANY_NEW_STREAMS");
  // Only what the proxy added counts.
  expect(await from("203.0.113.1, 2001:db8::4")).toBe("TOO_MANY_NEW_STREAMS");
  expect(await from("2001:db8:0:1::1")).toBe("live");
  expect(await from("203.0.113.1")).toBe("live");
});

test("Without trusted proxies, connections from this machine have no limit by address", async ({ onTestFinished }) => {
  const server = await startServer({ limits: { newStreamsPerAddress: { perSecond: 0.001, burst: 1 } } });
  onTestFinished(() => server.stop());
  const token = await server.token({ tenant: newTenant() });
  for (let index = 0; index < 3; index++) expect(await openBridge(server.url, token, "203.0.113.1")).toBe("live");
});
