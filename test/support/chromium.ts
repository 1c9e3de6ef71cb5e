/** A real browser: Chromium from PATH, without any state of its own. */
import type { Browser } from "playwright-core";
import { chromium } from "playwright-core";
import { findTool } from "./require.ts";

/** The path of Chromium; without it the tests that need it say so in a line, or fail where nothing may be skipped. */
export const chromiumPath: string | undefined = findTool("chromium", "apt-get install chromium");

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

/** Starts Chromium without a window. */
export function launchChromium(): Promise<Browser> {
  if (chromiumPath === undefined) throw new Error("Chromium is missing");
  return chromium.launch({ executablePath: chromiumPath, headless: true, args });
}
