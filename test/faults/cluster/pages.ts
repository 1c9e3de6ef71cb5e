/** Pages of many users, one each, with the client library and its own back-off. */
import { connectTidings, type TidingsClient } from "../../../src/client/index.ts";
import { tokenFor } from "../server-process.ts";

/** One page. */
export interface Page {
  readonly client: TidingsClient;
  /** The titles of its messages, in the order of arrival. */
  readonly titles: string[];
  /** When its streams had caught up, by performance.now(). */
  readonly caughtUpAt: number[];
  /** When its streams got their hello, by performance.now(). */
  readonly helloAt: number[];
}

/** Opens one page for each of `users` users, numbered from `first`, at these URLs round-robin. Does not wait for them. */
export async function openPages(urls: readonly string[], tenant: string, users: number, first = 0): Promise<Page[]> {
  const pages: Page[] = [];
  for (let number = first; number < first + users; number++) {
    const token = await tokenFor({ sub: `user-${number}`, tenant, role: "user" });
    const url = urls[number % urls.length] as string;
    const client = connectTidings({ url, token: async () => token, transport: "ws" });
    const page: Page = { client, titles: [], caughtUpAt: [], helloAt: [] };
    client.on("message", ({ title }) => page.titles.push(title));
    client.on("hello", () => page.helloAt.push(performance.now()));
    client.on("caughtUp", () => page.caughtUpAt.push(performance.now()));
    pages.push(page);
  }
  return pages;
}

/** Waits until a condition holds for every page. Resolves with the number of pages for which it did not hold in time. */
export async function waitForPages(
  pages: readonly Page[],
  holds: (page: Page) => boolean,
  timeoutMs: number,
): Promise<number> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const missing = pages.filter((page) => !holds(page)).length;
    if (missing === 0 || performance.now() > end) return missing;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Closes all pages. */
export function closePages(pages: readonly Page[]): void {
  for (const { client } of pages) client.close();
}
