import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { createCors, isOriginAllowed } from "../../src/http/cors.ts";
import { AddressList } from "../../src/util/address-list.ts";

let stop: () => void = () => {};
afterEach(() => stop());

async function serve(allowedOrigins: readonly string[], trusted: readonly string[] = []): Promise<string> {
  const cors = createCors({ allowedOrigins, trustedProxies: new AddressList(trusted) });
  const server = createServer((request, response) => void (cors(request, response) || response.end("answer")));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stop = () => void server.close();
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const page = "https://app.example.com";
const preflight = {
  "access-control-request-method": "POST",
  "access-control-request-headers": "authorization,content-type",
};

describe("A preflight", () => {
  test("allows a page of an allowed origin to post with a token", async () => {
    const answer = await fetch(await serve([page]), { method: "OPTIONS", headers: { origin: page, ...preflight } });
    expect(answer.status).toBe(204);
    expect(answer.headers.get("access-control-allow-origin")).toBe(page);
    expect(answer.headers.get("access-control-allow-methods")).toContain("POST");
    expect(answer.headers.get("access-control-allow-headers")?.toLowerCase()).toContain("authorization");
    expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
    expect(answer.headers.get("vary")).toContain("Origin");
  });

  test("refuses a page of another origin", async () => {
    const answer = await fetch(await serve([page]), {
      method: "OPTIONS",
      headers: { origin: "https://evil.example", ...preflight },
    });
    expect(answer.status).toBe(403);
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
  });
});

describe("Responses", () => {
  test("are readable by a page of an allowed origin, with the headers that clients need", async () => {
    const answer = await fetch(await serve([page]), { headers: { origin: page } });
    expect(answer.headers.get("access-control-allow-origin")).toBe(page);
    expect(answer.headers.get("access-control-expose-headers")?.toLowerCase()).toContain("grpc-status");
    expect(await answer.text()).toBe("answer");
  });

  test("are not readable by a page of another origin", async () => {
    const answer = await fetch(await serve([page]), { headers: { origin: "https://evil.example" } });
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
  });

  test("are readable by all pages when all origins are allowed", async () => {
    const answer = await fetch(await serve(["*"]), { headers: { origin: "https://any.example" } });
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
  });
});

describe("The check of the origin of a WebSocket", () => {
  test.each([
    ["allows a caller that is not a browser", undefined, "h:1", [], true],
    ["allows a page of this host", "http://h:1", "h:1", [], true],
    [
      "allows a page of this host, whose default port a proxy wrote",
      "https://site.example",
      "site.example:443",
      [],
      true,
    ],
    [
      "allows a page of this host, whose default port for http a proxy wrote",
      "http://site.example",
      "site.example:80",
      [],
      true,
    ],
    ["allows a page of this host in another case", "https://site.example", "Site.Example", [], true],
    ["allows a page of this IPv6 address", "http://[::1]:7300", "[0:0::1]:7300", [], true],
    ["refuses a page of the default port of another scheme", "https://site.example", "site.example:80", [], false],
    ["refuses a page whose name is the password of the host", "https://site.example", "evil@site.example", [], false],
    ["refuses a page whose host the header only begins with", "https://site.example", "site.example/evil", [], false],
    ["refuses any page where the host is missing", "https://site.example", undefined, [], false],
    ["refuses a page of a file", "file://", "", [], false],
    ["refuses a page of another port", "http://h:2", "h:1", [], false],
    ["refuses a page of a host that only begins with the same name", "http://h:1.evil.example", "h:1", [], false],
    ["allows a page of a listed origin", page, "h:1", [page], true],
    ["refuses a page of a listed name with another scheme", "http://app.example.com", "h:1", [page], false],
    ["refuses a page in a sandbox", "null", "h:1", [page], false],
    ["allows any page when all origins are allowed", "null", "h:1", ["*"], true],
  ])("%s", (_, origin, host, allowed, expected) => {
    expect(isOriginAllowed(origin, [host], allowed)).toBe(expected);
  });
});

describe("A page that reached the server through a proxy, which changed the host,", () => {
  const origin = "https://app.example.com";
  const grantOf = async (url: string, headers: Record<string, string>) =>
    (await fetch(url, { headers: { origin, ...headers } })).headers.get("access-control-allow-origin");

  test.each([
    ["X-Forwarded-Host", { "x-forwarded-host": "app.example.com" }],
    ["X-Forwarded-Host of several proxies", { "x-forwarded-host": "app.example.com:443, inner:8080" }],
    ["Forwarded", { forwarded: 'for=192.0.2.1;host="app.example.com";proto=https' }],
  ])("is allowed by %s of a trusted proxy, and by that of no other", async (_, headers) => {
    expect(await grantOf(await serve([], ["127.0.0.0/8"]), headers)).toBe(origin);
    stop();
    expect(await grantOf(await serve([], ["10.0.0.0/8"]), headers)).toBeNull();
  });

  test("is refused when the trusted proxy names another host", async () => {
    const url = await serve([], ["127.0.0.1"]);
    expect(
      await grantOf(url, { "x-forwarded-host": "other.example.com", forwarded: "host=app.example.com.evil" }),
    ).toBeNull();
  });
});
