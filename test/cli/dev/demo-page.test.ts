import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { demoPage } from "../../../src/cli/dev/demo-page.ts";

const server = createServer();

beforeAll(async () => {
  const page = await demoPage("a-secret-of-at-least-thirty-two-bytes");
  server.on("request", (message, response) => page(message, response) || response.writeHead(404).end());
  await once(server.listen(0, "127.0.0.1"), "listening");
});

afterAll(() => server.close());

/** The status of a GET with this Host header. */
async function statusOf(path: string, host: string): Promise<number | undefined> {
  const { port } = server.address() as AddressInfo;
  const call = request({ port, path, headers: { host } }).end();
  const [response] = await once(call, "response");
  response.resume();
  return response.statusCode;
}

test.each([
  ["127.0.0.1:7300", 200],
  ["localhost", 200],
  ["[::1]:7300", 200],
  ["evil.example:7300", 403],
  ["127.0.0.1.evil.example", 403],
])("A request for tokens with the Host header %s gets %i", async (host, status) => {
  expect(await statusOf("/demo/session", host)).toBe(status);
  expect(await statusOf("/", host)).toBe(200);
});
