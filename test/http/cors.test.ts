import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { createCors, isOriginAllowed } from "../../src/http/cors.ts";

let stop: () => void = () => {};
afterEach(() => stop());

async function serve(allowed: readonly string[]): Promise<string> {
  const cors = createCors(allowed);
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
    ["refuses a page of another port", "http://h:2", "h:1", [], false],
    ["refuses a page of a host that only begins with the same name", "http://h:1.evil.example", "h:1", [], false],
    ["allows a page of a listed origin", page, "h:1", [page], true],
    ["refuses a page of a listed name with another scheme", "http://app.example.com", "h:1", [page], false],
    ["refuses a page in a sandbox", "null", "h:1", [page], false],
    ["allows any page when all origins are allowed", "null", "h:1", ["*"], true],
  ])("%s", (_, origin, host, allowed, expected) => {
    expect(isOriginAllowed(origin, host, allowed)).toBe(expected);
  });
});
