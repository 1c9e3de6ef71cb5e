/** The cookie that may have the token of a feed's reader, and what CORS allows such pages. */
import { get } from "node:http";
import { describe, expect, test } from "vitest";
import { secret } from "../support/token.ts";
import { FeedServer } from "./feed-reader.ts";

const page = "https://app.example.com";
const options = { auth: { secret, cookie: "session" }, allowedOrigins: [page] };

interface Answer {
  readonly status: number;
  readonly reason: string | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** GET with exactly these headers, which fetch would not send all. */
function ask(url: string, headers: Readonly<Record<string, string | string[]>>, method = "GET"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = get(url, { method, headers, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk));
      response.on("end", () => {
        const reason = /"reason":"(\w+)"/.exec(text)?.[1];
        resolve({ status: response.statusCode ?? 0, reason, headers: response.headers });
      });
    });
    request.on("error", reject);
  });
}

describe("The cookie of a token", () => {
  test.for<[string, Record<string, string>, number]>([
    ["the page of the same origin", { "sec-fetch-site": "same-origin" }, 200],
    ["the user's own navigation", { "sec-fetch-site": "none" }, 200],
    ["a page of an allowed origin", { origin: page, "sec-fetch-site": "cross-site" }, 200],
    ["a page of the server's own host", { origin: "http://HOST" }, 200],
    ["a page of the same host with another scheme", { origin: "http://HOST", "sec-fetch-site": "cross-site" }, 401],
    ["another page of the same site", { "sec-fetch-site": "same-site" }, 401],
    ["an element of any other page", { "sec-fetch-site": "cross-site" }, 401],
    [
      "a page of an origin that is not allowed",
      { origin: "https://evil.example", "sec-fetch-site": "cross-site" },
      401,
    ],
    ["a page without an origin", { origin: "null", "sec-fetch-site": "cross-site" }, 401],
    [
      "a page that claims to be of the same origin",
      { origin: "https://evil.example", "sec-fetch-site": "same-origin" },
      401,
    ],
    ["a client that does not say", {}, 401],
  ])("counts as decided for %s", async ([, headers, status], { onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished, options);
    const own = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace("HOST", feeds.server.host)]),
    );
    const cookie = `theme=dark; session=${await feeds.token()}`;
    const answer = await ask(`${feeds.server.url}/stream/user`, { ...own, cookie });
    expect([answer.status, answer.reason]).toEqual([status, status === 200 ? undefined : "TOKEN_MISSING"]);
  });

  test("counts for no origin where every origin is allowed", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished, { ...options, allowedOrigins: ["*"] });
    const cookie = `session=${await feeds.token()}`;
    const answer = await ask(`${feeds.server.url}/stream/user`, { cookie, origin: page });
    expect(answer.status).toBe(401);
    expect(answer.headers["access-control-allow-origin"]).toBe("*");
    expect(answer.headers["access-control-allow-credentials"]).toBeUndefined();
  });

  test("counts for no other call, and not unless the option is set", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished, options);
    const headers = { cookie: `session=${await feeds.token()}`, "sec-fetch-site": "same-origin" };
    const list = await fetch(`${feeds.server.url}/tidings.v1.PushService/ListUnread`, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: "{}",
    });
    expect(list.status).toBe(401);
    const off = await FeedServer.start(onTestFinished, { allowedOrigins: [page] });
    const cookie = `session=${await off.token()}`;
    for (const each of [
      { ...headers, cookie },
      { cookie, origin: page },
    ]) {
      expect(await ask(`${off.server.url}/stream/user`, each)).toMatchObject({ status: 401, reason: "TOKEN_MISSING" });
    }
  });

  test("is refused beside another one of its name, and ignored beside a header", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished, options);
    const url = `${feeds.server.url}/stream/user`;
    const token = await feeds.token();
    const from = { "sec-fetch-site": "same-origin" };
    for (const cookie of [`session=${token}; session=${token}`, [`session=${token}`, `session=${token}`]]) {
      expect(await ask(url, { ...from, cookie })).toMatchObject({ status: 401, reason: "TOKEN_INVALID" });
    }
    const authorization = `Bearer ${token}`;
    expect((await ask(url, { ...from, authorization, cookie: "session=x" })).status).toBe(200);
    expect((await ask(url, { ...from, authorization: "Bearer x", cookie: `session=${token}` })).status).toBe(401);
    expect((await ask(url, { ...from, authorization: "Basic x", cookie: `session=${token}` })).status).toBe(401);
  });
});

describe("CORS of a feed", () => {
  test("lets a page of an allowed origin read the position, with the cookies of its user", async ({
    onTestFinished,
  }) => {
    const feeds = await FeedServer.start(onTestFinished, options);
    const cookie = `session=${await feeds.token()}`;
    const { headers } = await ask(`${feeds.server.url}/stream/user`, { cookie, origin: page });
    expect(headers["access-control-allow-origin"]).toBe(page);
    expect(headers["access-control-allow-credentials"]).toBe("true");
    for (const name of ["Stream-Next-Offset", "Stream-Up-To-Date", "Stream-Cursor", "ETag"]) {
      expect(headers["access-control-expose-headers"]).toContain(name);
    }
    expect(headers.vary).toBe("Origin, Authorization, Cookie");
  });

  test("answers a preflight of a page that sends a token and an entity tag", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished, options);
    const asked = {
      "access-control-request-method": "GET",
      "access-control-request-headers": "authorization,if-none-match",
    };
    const { status, headers } = await ask(`${feeds.server.url}/stream/room/a`, { origin: page, ...asked }, "OPTIONS");
    expect(status).toBe(204);
    expect(String(headers["access-control-allow-headers"]).toLowerCase()).toMatch(/authorization.*if-none-match/);
    expect(headers["access-control-allow-methods"]).toContain("GET");
    const evil = await ask(
      `${feeds.server.url}/stream/room/a`,
      { origin: "https://evil.example", ...asked },
      "OPTIONS",
    );
    expect(evil.status).toBe(403);
    expect(evil.headers["access-control-allow-credentials"]).toBeUndefined();
  });

  test("allows cookies for nothing but feeds, and not without the option", async ({ onTestFinished }) => {
    const feeds = await FeedServer.start(onTestFinished, options);
    const other = await ask(`${feeds.server.url}/tidings.v1.PushService/ListUnread`, { origin: page });
    expect(other.headers["access-control-allow-credentials"]).toBeUndefined();
    const off = await FeedServer.start(onTestFinished, { allowedOrigins: [page] });
    const plain = await ask(`${off.server.url}/stream/user`, { origin: page });
    expect(plain.headers["access-control-allow-origin"]).toBe(page);
    expect(plain.headers["access-control-allow-credentials"]).toBeUndefined();
  });
});
