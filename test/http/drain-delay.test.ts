/** A server that shuts down, during its drain delay. */

import { once } from "node:events";
import { request } from "node:http";
import { expect, test } from "vitest";
import { FakeClock } from "../support/clock.ts";
import { newTenant, startServer } from "../support/server.ts";

test.each(["/livez", "/healthz", "/readyz"])("The probe %s needs no token", async (path) => {
  const server = await startServer();
  const response = await fetch(server.url + path);
  expect([response.status, await response.text()]).toEqual([200, "ok\n"]);
  await server.stop();
});

test("During the drain delay a server is not ready but serves on, and each response ends its connection", async () => {
  const clock = new FakeClock();
  const server = await startServer({ clock, drainDelayMs: 5_000 });
  const backend = server.client({ tenant: newTenant(), role: "service" });
  await backend.onlineCount({});
  const stopped = server.stop();
  const get = async (path: string) => {
    const [response] = await once(request(server.url + path).end(), "response");
    response.resume();
    return [response.statusCode, response.headers.connection];
  };
  expect(await get("/readyz")).toEqual([503, "close"]);
  expect(await get("/livez")).toEqual([200, "close"]);
  expect((await backend.onlineCount({})).users).toBe(0);
  await clock.advance(5_000);
  await stopped;
  await expect(get("/livez")).rejects.toThrow("ECONNREFUSED");
});
