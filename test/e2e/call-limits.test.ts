/** The limits of calls and publishes, over the wire. */
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { FakeClock } from "../support/clock.ts";
import { newTenant, startServer, type TestServer } from "../support/server.ts";

interface Answer {
  readonly status: number;
  readonly body: { code?: string; message?: string; details?: { type: string; debug: Record<string, unknown> }[] };
}

async function call({ url }: TestServer, token: string, method: string, request: unknown = {}): Promise<Answer> {
  const response = await fetch(`${url}/tidings.v1.PushService/${method}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify(request),
  });
  return { status: response.status, body: (await response.json()) as Answer["body"] };
}

const note = (userId: string) => ({ audience: { userId }, message: { kind: "KIND_NOTIFICATION", title: "hello" } });

test("Calls of a user over the limit get 429 with the limit and the delay, and other callers are served", async ({
  onTestFinished,
}) => {
  const clock = new FakeClock();
  const server = await startServer({ clock, limits: { callsPerUser: { perSecond: 2, burst: 3 } } });
  onTestFinished(() => server.stop());
  const tenant = newTenant();
  const [mallory, ann, service] = [
    await server.token({ tenant, sub: "mallory" }),
    await server.token({ tenant, sub: "ann" }),
    await server.token({ tenant, sub: "svc", role: "service" }),
  ];
  const methods = ["ListUnread", "MarkRead", "OnlineCount", "ListMessages", "DeleteMessages"];
  const statuses: number[] = [];
  for (const method of methods) statuses.push((await call(server, mallory, method, all(method))).status);
  expect(statuses).toEqual([200, 200, 200, 429, 429]);
  const { body } = await call(server, mallory, "ListUnread");
  expect(body.code).toBe("resource_exhausted");
  expect(body.message).toBe("the user may make 2 calls a second, and 3 at once; repeat the request after the delay");
  expect(body.details?.map(({ debug }) => debug)).toMatchObject([
    { reason: "RATE_LIMITED", metadata: { option: "limits.callsPerUser", limit: "2", burst: "3", cost: "1" } },
    { retryDelay: "0.500s" },
  ]);
  for (const method of methods) expect((await call(server, ann, "ListUnread")).status, method).toBeLessThan(430);
  for (let index = 0; index < 10; index++) expect((await call(server, service, "OnlineCount")).status).toBe(200);
  clock.set(clock.now() + 500);
  expect((await call(server, mallory, "ListUnread")).status).toBe(200);
});

test("A frame that marks messages over the limit ends its stream on the bridge", async ({ onTestFinished }) => {
  const server = await startServer({ limits: { callsPerUser: { perSecond: 0.001, burst: 2 } } });
  onTestFinished(() => server.stop());
  const token = await server.token({ tenant: newTenant() });
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws`, "tidings.v1.json");
  const closed = new Promise<string>((resolve) => {
    socket.on("close", (code, reason) => resolve(`${code} ${String(reason).split(":")[0]}`));
  });
  socket.on("open", () => {
    socket.send(JSON.stringify({ token, subscribe: {} }));
    for (let index = 0; index < 3; index++) socket.send(JSON.stringify({ markRead: { all: true } }));
  });
  expect(await closed).toBe("4008 RATE_LIMITED");
});

test("A tenant over its limit does not slow another one, whose publishes all succeed", async ({ onTestFinished }) => {
  const server = await startServer({ limits: { publishesPerTenant: { perSecond: 20, burst: 50 } } });
  onTestFinished(() => server.stop());
  const service = (tenant: string) => server.token({ tenant, sub: "svc", role: "service" });
  const [noisy, quiet] = [await service(newTenant()), await service(newTenant())];
  const batch = { requests: Array.from({ length: 40 }, (_, index) => note(`u${index}`)) };
  let stopped = false;
  const statuses = new Set<number>();
  const flood = Array.from({ length: 4 }, async () => {
    while (!stopped) statuses.add((await call(server, noisy, "PublishBatch", batch)).status);
  });
  await expect.poll(() => [...statuses].sort()).toEqual([200, 429]);
  for (let index = 0; index < 30; index++) {
    const { status, body } = await call(server, quiet, "Publish", note("ann"));
    expect(status, body.message).toBe(200);
  }
  stopped = true;
  await Promise.all(flood);
});

function all(method: string): unknown {
  return method === "MarkRead" ? { all: true } : {};
}
