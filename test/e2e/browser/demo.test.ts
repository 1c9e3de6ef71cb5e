/** The demo page, used as a new user would use it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { demoPage } from "../../../src/cli/dev/demo-page.ts";
import { chromiumTool, launchChromium } from "../../support/chromium.ts";
import { describeWith } from "../../support/require.ts";
import { startServer, type TestServer } from "../../support/server.ts";
import { secret } from "../../support/token.ts";
import { note, toTenant } from "../interop/scenario/people.ts";

describeWith(chromiumTool)("The demo page", () => {
  let browser: Browser;
  let serveDemo: Awaited<ReturnType<typeof demoPage>>;
  let folder: string;
  let server: TestServer;
  let page: Page;
  let uncaught: Error[];

  const start = (port = 0) =>
    startServer({
      data: folder,
      port,
      fallback: (request, response) => void (serveDemo(request, response) || response.writeHead(404).end()),
    });

  beforeAll(async () => {
    [browser, serveDemo] = await Promise.all([launchChromium(), demoPage(secret)]);
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "tidings-"));
    uncaught = [];
    server = await start();
    page = await browser.newPage();
    page.setDefaultTimeout(15_000);
    page.on("pageerror", (error) => uncaught.push(error));
    await page.goto(server.url);
    await showsAll(page, ".state", ["live", "live"]);
  });
  afterEach(async () => {
    await page.close();
    await server.stop();
    rmSync(folder, { recursive: true });
    expect(uncaught).toEqual([]);
  });

  async function publish(to: string, title: string, kind = "notification"): Promise<void> {
    const form = page.getByRole("form");
    await form.getByLabel("To").selectOption(to);
    await form.getByLabel("Kind").selectOption(kind);
    await form.getByLabel("Title").fill(title);
    await form.getByRole("button", { name: "Publish" }).click();
    await page.locator("li", { hasText: title }).first().waitFor();
  }
  const panel = (name: string): Locator => page.getByLabel(`${name}'s page`);
  const titles = (name: string) => panel(name).locator("strong").allTextContents();
  const badges = (ada: string, bob: string) => showsAll(page, ".badge", [ada, bob]);

  test("shows each of its two users their messages, and counts them", async () => {
    await showsAll(page, ".online", ["2 online, 2 pages", "2 online, 2 pages"]);
    await publish("Ada", "for Ada 你好 🎉");
    await badges("1", "0");
    await publish("Ada and Bob", "for both");
    await badges("2", "1");
    await publish("the company", "for all <b>of us</b>");
    await badges("3", "2");
    await publish("the company", "Bob closed a task", "activity");
    await publish("Bob", "typing", "event (live only)");
    expect(await titles("Ada")).toEqual(["Bob closed a task", "for all <b>of us</b>", "for both", "for Ada 你好 🎉"]);
    expect(await titles("Bob")).toEqual(["typing", "Bob closed a task", "for all <b>of us</b>", "for both"]);
    await badges("3", "2");
  });

  test("marks and deletes messages, and shows the same after a reload", async () => {
    for (const title of ["one", "two", "three"]) await publish("Ada and Bob", title);
    await badges("3", "3");
    await panel("Ada").locator("li", { hasText: "two" }).getByRole("button", { name: "Mark read" }).click();
    await badges("2", "3");
    await panel("Bob").getByRole("button", { name: "Mark all read" }).click();
    await badges("2", "0");
    await panel("Ada").locator("li", { hasText: "three" }).getByRole("button", { name: "Delete" }).click();
    await badges("1", "0");
    await panel("Bob").locator("li", { hasText: "one" }).getByRole("button", { name: "Mark unread" }).click();
    await badges("1", "1");

    await page.reload();
    await badges("1", "1");
    await panel("Ada").locator("li").nth(1).waitFor();
    await panel("Bob").locator("li").nth(2).waitFor();
    expect(await titles("Ada")).toEqual(["two", "one"]);
    expect(await titles("Bob")).toEqual(["three", "two", "one"]);
    expect(await page.locator("li:not(.read) strong").allTextContents()).toEqual(["one", "one"]);
  });

  test("recovers after a restart of the server", async () => {
    await publish("Ada and Bob", "before");
    const { port } = server;
    await server.stop();
    await showsAll(page, ".state", ["connecting…", "connecting…"]);
    await panel("Ada").getByRole("button", { name: "Mark all read" }).click();
    await page.waitForFunction(() => !document.querySelector("#answer")?.textContent?.startsWith("published"));
    server = await start(port);
    const backend = server.client({ tenant: "acme", role: "service" });
    await backend.publish({ audience: toTenant, message: note("while away") });
    await showsAll(page, ".state", ["live", "live"]);
    await badges("2", "2");
    await publish("Ada", "after");
    expect(await titles("Ada")).toEqual(["after", "while away", "before"]);
    expect(await titles("Bob")).toEqual(["while away", "before"]);
  });
});

/** Waits until the elements of a selector have exactly these texts. */
async function showsAll(page: Page, selector: string, texts: readonly string[]): Promise<void> {
  const shown = ([selector, expected]: readonly [string, string]) =>
    JSON.stringify(Array.from(document.querySelectorAll(selector), ({ textContent }) => textContent)) === expected;
  await page.waitForFunction(shown, [selector, JSON.stringify(texts)] as const);
}
