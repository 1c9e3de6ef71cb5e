import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { openssl, selfSigned } from "../../support/certificate.ts";
import { chromiumTool, launchChromium } from "../../support/chromium.ts";
import { newerFunctions } from "../../support/newer-functions.ts";
import { describeWith, testWith } from "../../support/require.ts";
import { newTenant, type ServerOptions, startServer, type TestServer } from "../../support/server.ts";
import { type DraftInit, note, toUser } from "../interop/scenario/people.ts";
import { bundlePage, site } from "./site.ts";

const ours = ["typed-connect", "typed-ws", "typed-auto", "json"];
const all = [...ours, "connect-web-json", "connect-web-binary"];

describeWith(chromiumTool)("In Chromium,", () => {
  let browser: Browser;
  let script: Uint8Array;
  let folder: string;
  let server: TestServer;
  let tenant: string;
  let context: BrowserContext;
  let uncaught: Error[];

  const start = (options: ServerOptions = {}) =>
    startServer({ data: folder, fallback: site(script, (sub) => server.token({ tenant, sub })), ...options });
  const publish = (message: DraftInit) =>
    server.client({ tenant, role: "service" }).publish({ audience: toUser("ann"), message });

  /** Opens a tab with a live client. */
  async function openTab(client: string, query = ""): Promise<Page> {
    const page = await context.newPage();
    page.on("pageerror", (error) => uncaught.push(error));
    await page.goto(`${server.url}/page/${client}?${query}`);
    await shows(page, "#state", "live");
    return page;
  }

  beforeAll(async () => {
    [browser, script] = await Promise.all([launchChromium(), bundlePage()]);
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "tidings-"));
    tenant = newTenant();
    uncaught = [];
    server = await start();
    context = await browser.newContext({ ignoreHTTPSErrors: true });
  });
  afterEach(async () => {
    await context.close();
    await server.stop();
    rmSync(folder, { recursive: true });
    expect(uncaught).toEqual([]);
  });

  test.each(all)(
    "two tabs of the client %s receive, agree on the badge, and are gone when they are closed",
    async (client) => {
      await publish(note("before"));
      const [first, second] = await Promise.all([openTab(client), openTab(client)]);
      const { messageId } = await publish(
        note("你好 🎉", { content: "<b>&amp;</b>", payload: { case: "binary", value: new Uint8Array([0, 255]) } }),
      );
      for (const page of [first, second]) {
        await shows(page, "#badge", "2");
        const [message] = await messagesOf(page, 1);
        expect(message).toMatchObject({ id: messageId, title: "你好 🎉", content: "<b>&amp;</b>", binary: "AP8=" });
      }
      await first.evaluate(() => app.markAll());
      for (const page of [first, second]) await shows(page, "#badge", "0");

      await publish(note("after"));
      await shows(second, "#badge", "1");
      await second.reload();
      await shows(second, "#state", "live");
      await shows(second, "#badge", "1");
      expect(await second.evaluate(() => app.listUnread())).toEqual(["after"]);

      await second.close();
      const backend = server.client({ tenant, role: "service" });
      await vi.waitFor(async () => expect((await backend.onlineCount({})).connections).toBe(1), 10_000);
    },
  );

  test("all tabs in a room receive over WebSocket, Connect and JSON, and one tab of each user alerts", async () => {
    const room = encodeURIComponent("dm/ann/bob");
    const annes = await Promise.all(["typed-ws", "connect-web-binary"].map((name) => openTab(name, `room=${room}`)));
    const bob = await openTab("json", `room=${room}&sub=bob`);
    const tabs = [...annes, bob];
    for (const page of tabs) await shows(page, "#room", "joined");
    await bob.evaluate(() => app.say("ping"));
    for (const page of annes) await shows(page, "#badge", "1");
    await annes[1]?.evaluate(() => app.say("pong"));
    await shows(bob, "#badge", "1");
    const alerts = await Promise.all(
      tabs.map(async (page) => (await messagesOf(page, 2)).map(({ title, alert = false }) => ({ title, alert }))),
    );
    for (const messages of alerts) expect(messages.map(({ title }) => title)).toEqual(["ping", "pong"]);
    const alerted = (title: string) =>
      alerts.map((messages) => messages.some((one) => one.title === title && one.alert));
    expect(alerted("ping").slice(0, 2).sort()).toEqual([false, true]);
    expect(alerted("ping")[2]).toBe(false);
    expect(alerted("pong")).toEqual([false, false, true]);
    // A message that ann sent from one tab is not unread in the other.
    for (const page of annes) await shows(page, "#badge", "1");
  });

  test.each(ours)("the client %s loses and repeats no message when the server restarts", async (client) => {
    const page = await openTab(client);
    await publish(note("before"));
    await messagesOf(page, 1);
    const { port } = server;
    await server.stop();
    await lacks(page, "#state", "live");
    server = await start({ port });
    await publish(note("while away"));
    await shows(page, "#state", "live");
    await publish(note("after"));
    const messages = await messagesOf(page, 3);
    expect(messages.map(({ title }) => title)).toEqual(["before", "while away", "after"]);
    await shows(page, "#badge", "3");
  });

  // Playwright cannot follow the way back; test/client/connection/page.test.ts does.
  test.each(ours)("the client %s goes offline when its page enters the back-forward cache", async (client) => {
    const page = await openTab(client, `room=${encodeURIComponent("dm/ann/bob")}`);
    await shows(page, "#room", "joined");
    await page.evaluate(() =>
      addEventListener("pagehide", ({ persisted }) => localStorage.setItem("kept", String(persisted))),
    );
    await page.goto(`${server.url}/page.js`);
    const backend = server.client({ tenant, role: "service" });
    await vi.waitFor(async () => expect((await backend.onlineCount({})).connections).toBe(0), 5_000);
    expect(await page.evaluate(() => localStorage.getItem("kept"))).toBe("true");
  });

  test.each(ours)("the client %s works without any function that the oldest browsers lack", async (client) => {
    await context.addInitScript((functions) => {
      for (const { owner, name, isStatic } of functions) {
        const object = Reflect.get(globalThis, owner);
        if (object) Reflect.deleteProperty(isStatic ? object : object.prototype, name);
      }
      Reflect.deleteProperty(Symbol, "dispose");
    }, newerFunctions);
    const page = await openTab(client);
    expect(await page.evaluate(() => typeof URL.canParse)).toBe("undefined");
    await publish(note("one"));
    await messagesOf(page, 1);
    expect(await page.evaluate(() => app.listUnread())).toEqual(["one"]);
    await page.evaluate(() => app.markAll());
    await shows(page, "#badge", "0");
    const { port } = server;
    await server.stop();
    await lacks(page, "#state", "live");
    server = await start({ port });
    await shows(page, "#state", "live");
    await page.evaluate(() => app.close());
    await shows(page, "#state", "closed");
  });

  test.each(["typed-auto", "json"])(
    "the client %s falls back to Connect where WebSockets are blocked",
    async (client) => {
      await context.addInitScript(() => {
        const Native = WebSocket;
        // A path that the server does not upgrade, as behind a proxy that lets no WebSocket pass.
        globalThis.WebSocket = class extends Native {
          constructor(_url: string | URL, protocols?: string | string[]) {
            super(`${location.origin.replace("http", "ws")}/blocked`, protocols);
          }
        };
      });
      const page = await openTab(client);
      await publish(note("one"));
      await messagesOf(page, 1);
      await shows(page, "#badge", "1");
    },
  );

  async function expectTabs(client: string, count: number): Promise<void> {
    const tabs = await Promise.all(Array.from({ length: count }, () => openTab(client)));
    const { receipts } = await publish(note("to all tabs"));
    expect(receipts).toMatchObject([{ connections: count }]);
    for (const page of tabs) expect((await messagesOf(page, 1)).map(({ title }) => title)).toEqual(["to all tabs"]);
    await tabs[0]?.evaluate(() => app.markAll());
    for (const page of tabs) await shows(page, "#badge", "0");
  }

  // A browser opens at most six HTTP/1.1 connections to a host, but any number of WebSockets.
  test.each(["typed-auto", "json"])("eight tabs of the client %s are live at once", (client) => expectTabs(client, 8));

  testWith(openssl)("HTTP/2 over TLS carries eight Connect streams, beside WebSockets", async () => {
    await server.stop();
    server = await start({ tls: await selfSigned() });
    await expectTabs("typed-connect", 8);
    tenant = newTenant();
    await expectTabs("typed-auto", 2);
  });
});

/** By default, Playwright asks at every frame, and makes the page draw frames for it. */
const waitOptions = { timeout: 15_000, polling: 50 };

/** Waits until an element has exactly this text. */
async function shows(page: Page, selector: string, text: string): Promise<void> {
  await page.waitForFunction(
    ([selector, text]) => document.querySelector(selector)?.textContent === text,
    [selector, text] as const,
    waitOptions,
  );
}

/** Waits until an element has another text. */
async function lacks(page: Page, selector: string, text: string): Promise<void> {
  await page.waitForFunction(
    ([selector, text]) => document.querySelector(selector)?.textContent !== text,
    [selector, text] as const,
    waitOptions,
  );
}

/** The messages that a page has received; waits until there are `count`. */
async function messagesOf(page: Page, count: number): Promise<Record<string, unknown>[]> {
  await page.waitForFunction((count) => document.querySelectorAll("li").length >= count, count, waitOptions);
  const texts = await page.locator("li").allTextContents();
  return texts.map((text) => JSON.parse(text) as Record<string, unknown>);
}
