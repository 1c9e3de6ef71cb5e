/** An EventSource of a page, which has its token in a cookie. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { blocksOf } from "../docs/blocks.ts";
import { chromiumTool, launchChromium } from "../support/chromium.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { describeWith } from "../support/require.ts";
import { newTenant, startServer, type TestServer } from "../support/server.ts";
import { secret } from "../support/token.ts";

/** Follows a feed, and keeps what it gets for the test. */
const script = `
  const feed = new URLSearchParams(location.search).get("feed");
  globalThis.titles = [];
  globalThis.states = [];
  const source = new EventSource(feed, { withCredentials: true });
  source.addEventListener("data", ({ data }) => titles.push(...JSON.parse(data).map(({ title }) => title)));
  source.addEventListener("control", ({ data }) => states.push(JSON.parse(data)));
  source.onerror = () => states.push({ readyState: source.readyState });
`;

interface State {
  readonly upToDate?: boolean;
  readonly readyState?: number;
}

/** The page of docs/streams.md. */
const documented = `
  globalThis.titles = [];
  globalThis.states = [];
  const show = ({ title }) => titles.push(title);
  const renew = () => states.push("renew");
  ${blocksOf("docs/streams.md").find(({ place }) => place.endsWith(" event_source"))?.code}
`;

function site({ url }: IncomingMessage, response: ServerResponse): void {
  const code = url === "/documented" ? documented : script;
  const html = `<!doctype html><title>Feed</title><link rel="icon" href="data:,"><script>${code}</script>`;
  response.writeHead(200, { "content-type": "text/html" }).end(html);
}

describeWith(chromiumTool)("An EventSource in Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser?.close());

  /** Opens the site of a server, as a user whose token is in a cookie of another server or of the same. */
  async function open(at: string, of: string, token: string, feed: string): Promise<Page> {
    const context = await browser.newContext();
    await context.addCookies([{ name: "session", value: token, url: of, httpOnly: true, sameSite: "Lax" }]);
    const page = await context.newPage();
    await page.goto(feed === "" ? at : `${at}/?feed=${encodeURIComponent(feed)}`);
    return page;
  }

  const titles = (page: Page) => page.evaluate<string[]>("titles");
  const states = (page: Page) => page.evaluate<State[]>("states");
  const publish = (server: TestServer, tenant: string, title: string) =>
    server.client({ tenant, role: "service" }).publish({
      audience: { to: { case: "userId", value: "ann" } },
      message: { kind: Kind.NOTIFICATION, title },
    });

  test("goes on after the last event when its connection breaks, and misses and repeats nothing", async ({
    onTestFinished,
  }) => {
    const tenant = newTenant();
    const server = await startServer({ auth: { secret, cookie: "session" }, fallback: site });
    onTestFinished(() => server.stop());
    const proxy = await FaultProxy.to(server.port);
    onTestFinished(() => proxy.close());
    const url = `http://127.0.0.1:${proxy.port}`;
    await publish(server, tenant, "one");
    const page = await open(url, url, await server.token({ tenant }), "/stream/user?offset=-1&live=sse");
    onTestFinished(() => page.context().close());
    await expect.poll(() => titles(page)).toEqual(["one"]);
    proxy.reset();
    await publish(server, tenant, "two");
    await publish(server, tenant, "three");
    await expect.poll(() => titles(page), { timeout: 15_000 }).toEqual(["one", "two", "three"]);
  });

  test("reads as docs/streams.md shows, and is opened again when it has given up", async ({ onTestFinished }) => {
    const tenant = newTenant();
    const server = await startServer({ auth: { secret, cookie: "session" }, fallback: site, metrics: true });
    onTestFinished(() => server.stop());
    const page = await open(`${server.url}/documented`, server.url, await server.token({ tenant }), "");
    onTestFinished(() => page.context().close());
    await expect
      .poll(async () => (await server.tidings.metrics()).text)
      .toContain('tidings_streams{transport="sse"} 1');
    await publish(server, tenant, "one");
    await expect.poll(() => titles(page)).toEqual(["one"]);
    await page.context().clearCookies();
    await page.reload();
    await expect.poll(() => states(page)).toEqual(["renew"]);
  });

  test("of another origin reads only where that origin is allowed by name", async ({ onTestFinished }) => {
    const tenant = newTenant();
    const pages = await startServer({ fallback: site });
    onTestFinished(() => pages.stop());
    for (const allowedOrigins of [[pages.url], ["*"], []]) {
      const server = await startServer({ auth: { secret, cookie: "session" }, allowedOrigins });
      onTestFinished(() => server.stop());
      await publish(server, tenant, "one");
      const feed = `${server.url}/stream/user?offset=-1&live=sse`;
      const page = await open(pages.url, server.url, await server.token({ tenant }), feed);
      onTestFinished(() => page.context().close());
      if (allowedOrigins[0] === pages.url) await expect.poll(() => titles(page)).toEqual(["one"]);
      else await expect.poll(() => states(page)).toEqual([{ readyState: 2 }]);
    }
  });

  test("is closed when its token has expired, so that the page can renew it", async ({ onTestFinished }) => {
    const tenant = newTenant();
    const server = await startServer({ auth: { secret, cookie: "session" }, fallback: site });
    onTestFinished(() => server.stop());
    const token = await server.token({ tenant, ttl: 2 });
    const page = await open(server.url, server.url, token, "/stream/user?offset=now&live=sse");
    onTestFinished(() => page.context().close());
    await expect
      .poll(() => states(page), { timeout: 15_000 })
      .toMatchObject([
        { upToDate: true },
        { error: { code: "unauthenticated" } },
        { readyState: 0 },
        { readyState: 2 },
      ]);
  });
});
