/** A real browser: Chromium from PATH, without any state of its own. */
import type { Browser } from "playwright-core";
import { chromium } from "playwright-core";
import { findTool, pathOf } from "./tools.ts";

/** Chromium, which some tests need. */
export const chromiumTool = findTool("chromium", "apt-get install chromium");

/** No GPU, no sandbox inside containers, and no calls home. Each launch has a fresh profile, removed at its end. */
const args = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts Chromium without a window. Unlike Playwright's default, pages that are left go to the back-forward cache. */
export function launchChromium(): Promise<Browser> {
  const ignoreDefaultArgs = ["--disable-back-forward-cache"];
  return chromium.launch({ executablePath: pathOf(chromiumTool), headless: true, args, ignoreDefaultArgs });
}
