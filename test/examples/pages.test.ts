/** The examples with pages, used as their first page suggests. Only npm run test:examples runs the pages. */
import type { Browser, BrowserContext, FrameLocator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { chromiumTool, launchChromium } from "../support/chromium.ts";
import { describeWith } from "../support/require.ts";
import { run } from "../support/run.ts";
import { commands, type RunningExample, startExample } from "./process.ts";

const whole = process.env.TIDINGS_TEST_EXAMPLES === "whole";
if (!whole) console.log("skipped: example pages in Chromium (npm run test:examples)");

const names = ["task-board", "site-mail", "badge", "job", "staff", "chat"] as const;

test("README.md prints one command for each example", () => {
  expect([...commands.keys()]).toEqual([...names, "python", "go", "php"]);
});

test.each([
  [[], "name one of: badge, chat, job, site-mail, staff, task-board, python, go, php"],
  [["chess"], "name one of"],
  [["chat", "--port", "http"], "--port: must be a number"],
  [["chat", "--colour"], "Unknown option '--colour'"],
])("The example runner refuses the arguments %j", async (args, output) => {
  await expect(run(process.execPath, "examples/run.ts", ...args)).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining(output),
  });
});

(whole ? describeWith(chromiumTool) : describe.skip)("The example", () => {
  let browser: Browser;
  /** All examples start at once, so that the next ones start while a test runs. */
  let examples: ReadonlyMap<string, Promise<RunningExample>>;
  let context: BrowserContext;
  let page: Page;
  let uncaught: Error[];

  beforeAll(async () => {
    examples = new Map(names.map((name) => [name, startExample(name)]));
    for (const example of examples.values()) example.catch(() => {});
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    const output = await Promise.all([...examples.values()].map(async (example) => (await example).stop()));
    expect(output).toEqual(names.map(() => "Stopped."));
  });
  beforeEach(async () => {
    uncaught = [];
    context = await browser.newContext();
    page = await context.newPage();
    page.setDefaultTimeout(10_000);
    page.on("pageerror", (error) => uncaught.push(error));
  });
  afterEach(async () => {
    await context.close();
    expect(uncaught).toEqual([]);
  });

  /** Opens the first page of an example and waits until these windows are live. */
  async function open(name: string, ...windows: readonly string[]): Promise<FrameLocator[]> {
    const { url } = (await examples.get(name)) as RunningExample;
    await page.goto(url);
    return Promise.all(windows.map(live));
  }
  const frame = (label: string): FrameLocator => page.frameLocator(`iframe[title="${label}"]`);
  const windowOf = (label: string) => page.locator("section.window", { has: page.getByText(label, { exact: true }) });
  const press = (label: string, name: string) => windowOf(label).getByRole("button", { name }).click();
  async function live(label: string): Promise<FrameLocator> {
    await frame(label).locator('.state[data-state="live"]').waitFor();
    return frame(label);
  }
  async function openWindow(label: string): Promise<FrameLocator> {
    await press(label, "Open");
    return live(label);
  }
  const badge = (people: FrameLocator, count: number) =>
    people.locator(`.badge[data-count="${count}"]`, { hasText: String(count) }).waitFor();

  test("task-board shows activities to all and assignments to one, also to a user who was away", async () => {
    const [ada, bob] = (await open("task-board", "Ada", "Bob")) as [FrameLocator, FrameLocator];
    await ada.getByText("2 online").waitFor();
    for (const title of ["Draw the <b>plan</b>", "Buy paint"]) {
      await ada.getByLabel("New task").fill(title);
      await ada.getByRole("button", { name: "Add" }).click();
      await bob.locator("#tasks li", { hasText: title }).waitFor();
    }
    await ada.locator("#task-1").getByLabel("Give to").selectOption("bob");
    await bob.locator("#inbox").getByText("Ada gave you a task: Draw the <b>plan</b>").waitFor();
    await badge(bob, 1);
    await badge(ada, 0);
    await bob.locator("#timeline li", { hasText: "Ada gave Bob a task" }).waitFor();
    await bob.locator("#inbox").getByRole("button", { name: "Open" }).click();
    await badge(bob, 0);
    await bob.locator("#inbox + .empty").waitFor();

    await bob.locator("#task-1").getByRole("button", { name: "Done" }).click();
    await ada.locator("#timeline li", { hasText: "Bob finished a task" }).waitFor();
    await ada.locator("#task-2").getByLabel("Give to").selectOption("cleo");
    const cleo = await openWindow("Cleo");
    await badge(cleo, 1);
    await cleo.locator("#inbox").getByText("Ada gave you a task: Buy paint").waitFor();
    await cleo.locator("#task-1").getByRole("button", { name: "Log" }).click();
    await cleo.locator("#log-title", { hasText: "Log of task 1" }).waitFor();
    await cleo.locator("#timeline li:nth-child(3):last-child", { hasText: "Ada added a task" }).waitFor();
    await press("Ada", "Reload");
    await live("Ada");
    await ada.locator("#timeline li").nth(4).waitFor();
  });

  test("site-mail counts letters by folder, marks them one by one, and takes them back", async () => {
    const [ada, bob] = (await open("site-mail", "Ada", "Bob")) as [FrameLocator, FrameLocator];
    const send = async (to: string, subject: string) => {
      await ada.getByLabel("To").selectOption(to);
      await ada.getByLabel("Subject").fill(subject);
      await ada.getByLabel("Text").fill("Today at <b>noon</b>.");
      await ada.getByRole("button", { name: "Send" }).click();
    };
    await send("bob", "Lunch?");
    await ada.getByText("Sent. Bob is online.").waitFor();
    await send("cleo", "Report");
    await ada.getByText("Sent. Cleo finds it on return.").waitFor();
    await send("everybody", "Fire drill");
    await badge(bob, 2);
    await bob.getByRole("button", { name: "Private 1" }).click();
    await bob.locator(".letter:only-child", { hasText: "Lunch?" }).getByRole("button", { name: "Read" }).click();
    await bob.getByText("Today at <b>noon</b>.").waitFor();
    await badge(bob, 1);
    await bob.getByRole("button", { name: "Public 1" }).waitFor();

    const cleo = await openWindow("Cleo");
    await badge(cleo, 2);
    await ada.getByRole("button", { name: "Take it back" }).click();
    for (const reader of [bob, cleo]) await reader.getByRole("button", { name: /^Public$/ }).waitFor();
    await badge(bob, 0);
    await badge(cleo, 1);
    await cleo.locator(".letter:only-child", { hasText: "Report" }).waitFor();
  });

  test("badge shows one number on all pages of a user, rings on one, and shows the online count in the title", async () => {
    const labels = ["Ada at her desk", "Ada's second page", "Bob"];
    const [desk, second, bob] = (await open("badge", ...labels)) as [FrameLocator, FrameLocator, FrameLocator];
    const titled = (label: string, title: string) => windowOf(label).getByText(title, { exact: true }).waitFor();
    for (const label of labels) await titled(label, "ERP · 2 online");
    await bob.getByText("2 online, 3 pages").waitFor();
    const notify = async (to: string, answer: string) => {
      await frame("The ERP").getByLabel("For").selectOption(to);
      await frame("The ERP").getByRole("button", { name: "Notify" }).click();
      await frame("The ERP").getByText(answer).waitFor();
    };
    await notify("ada", "Ada: stored, on 2 pages now");
    for (const label of labels.slice(0, 2)) await titled(label, "(1) ERP · 2 online");
    await badge(bob, 0);
    await notify("everybody", "Stored for everybody. 2 of them are online.");
    for (const [ada, count] of [
      [desk, 2],
      [second, 2],
      [bob, 1],
    ] as const)
      await badge(ada, count);
    await bob.locator('#sound[data-rings="1"]').waitFor();
    const rings = async () => {
      const texts = await Promise.all([desk, second].map((ada) => ada.locator("#sound").getAttribute("data-rings")));
      return texts.reduce((sum, text) => sum + Number(text), 0);
    };
    await expect.poll(rings).toBe(2);

    await second.getByRole("button", { name: "Mark all read" }).click();
    await badge(desk, 0);
    await press("Bob", "Reload");
    await badge(await live("Bob"), 1);
    expect(await bob.locator("#sound").textContent()).toBe("This page has not rung yet.");
    for (const label of labels.slice(0, 2)) await press(label, "Close");
    await titled("Bob", "(1) ERP · 1 online");
  });

  test("job shows the stages as they happen, all of them after a reload, and to nobody else", async () => {
    const [ada, bob] = (await open("job", "Ada", "Bob")) as [FrameLocator, FrameLocator];
    await ada.getByRole("button", { name: "Make the report" }).click();
    await ada.locator("#stages li", { hasText: "Checking stock" }).waitFor();
    await bob.getByRole("button", { name: "Watch" }).click();
    await bob.getByText("Refused:").waitFor();
    await bob.getByLabel("let it fail").check();
    await bob.getByRole("button", { name: "Make the report" }).click();

    await press("Ada", "Reload");
    await ada.locator("#stages li", { hasText: "Drawing charts" }).waitFor();
    await press("Ada", "Close");
    await openWindow("Ada");
    await badge(ada, 1);
    await ada.locator("#inbox").getByText("Your report job/ada/1 is ready").waitFor();
    const stages = ["Collecting 1,204 orders", "Checking stock", "Adding up", "Drawing charts", "Writing the report"];
    expect(await ada.locator("#stages li span").allTextContents()).toEqual([...stages, "The report is ready"]);
    await ada.getByText("100 %").waitFor();
    await bob.locator("#stages li.failed", { hasText: "the warehouse does not answer" }).waitFor();
    await badge(bob, 0);
  });

  test("staff keeps orders for a clerk who is away, marks them as read by a click, and gives each clerk one desk", async () => {
    const [desk] = (await open("staff", "Ada's desk")) as [FrameLocator];
    const workflow = frame("The workflow");
    const pass = async (to: string, answer: RegExp) => {
      await workflow.getByLabel("Clerk").selectOption(to);
      await workflow.getByRole("button", { name: "Pass it on" }).click();
      await workflow.getByText(answer).waitFor();
    };
    await pass("bob", /T1001 is with Bob, who is away/);
    await pass("ada", /T1002 is with Ada, who was notified/);
    await desk.getByRole("link", { name: "Order T1002" }).waitFor();
    await workflow.getByRole("button", { name: "Tell them" }).click();
    await desk.locator("#banner", { hasText: "The card printer is back" }).waitFor();

    const bob = await openWindow("Bob's desk");
    await badge(bob, 1);
    expect(await bob.locator("#banner").isVisible()).toBe(false);
    await bob.getByRole("link", { name: "Order T1001" }).click();
    await bob.locator("#order", { hasText: "T1001" }).waitFor();
    await badge(bob, 0);
    await bob.locator("#inbox + .empty").waitFor();

    const tablet = await openWindow("Ada's tablet");
    await desk.getByText("Another page of yours has taken it.").waitFor();
    await tablet.getByRole("link", { name: "Order T1002" }).waitFor();
    await desk.getByRole("button", { name: "Work here" }).click();
    await tablet.getByText("Another page of yours has taken it.").waitFor();
    await desk.getByRole("link", { name: "Order T1002" }).waitFor();
  });

  test("chat has talks of two and of a group", async () => {
    const [ada, bob] = (await open("chat", "Ada", "Bob")) as [FrameLocator, FrameLocator];
    const say = async (who: FrameLocator, text: string) => {
      await who.getByLabel("Text").fill(text);
      await who.getByRole("button", { name: "Send" }).click();
      await who.locator(".line.mine", { hasText: text }).waitFor();
    };
    const linesOf = (who: FrameLocator) => who.locator(".line p").allTextContents();
    // The event is live only: a page that is still connecting misses it, so Bob types on.
    const isTypingSeen = async () => {
      await bob.getByLabel("Text").pressSequentially("M");
      return ada.getByText("Bob is typing…").isVisible();
    };
    await expect.poll(isTypingSeen, { interval: 300, timeout: 15_000 }).toBe(true);
    await say(ada, "Good morning, team");
    await bob.locator(".line", { hasText: "Good morning" }).waitFor();
    await say(bob, "Morning! <b>Coffee</b>?");
    await ada.locator(".line", { hasText: "<b>Coffee</b>" }).waitFor();
    expect(await linesOf(ada)).toEqual(["Morning! <b>Coffee</b>?", "Good morning, team"]);
    expect(await linesOf(bob)).toEqual(await linesOf(ada));

    await ada.getByRole("button", { name: "Bob" }).click();
    await say(ada, "Just between us two");
    await badge(bob, 1);
    await bob.getByRole("button", { name: "Ada (1)" }).click();
    await bob.locator(".line:only-child", { hasText: "Just between us two" }).waitFor();
    await badge(bob, 0);

    const cleo = await openWindow("Cleo");
    await cleo.locator(".line", { hasText: "Good morning" }).waitFor();
    expect(await linesOf(cleo)).toHaveLength(2);
    const dan = await openWindow("Dan, not in the team");
    await dan.getByText("You cannot enter: this room is for its members.").waitFor();
    await dan.getByRole("button", { name: "Ada" }).click();
    await say(dan, "May I join?");
    await badge(ada, 1);
    expect(await linesOf(cleo)).toHaveLength(2);
  });
});
