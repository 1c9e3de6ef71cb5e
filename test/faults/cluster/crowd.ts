/** Many users with one page each, on the product's client and its patience. */
import { connectTidings, type TidingsClient } from "../../../src/client/index.ts";
import { tokenFor } from "../server-process.ts";

/** One page. */
export interface CrowdPage {
  readonly client: TidingsClient;
  /** Titles of messages, in the order in which they came. */
  readonly titles: string[];
  /** When its streams were caught up, by performance.now(). */
  readonly caughtUpAt: number[];
  /** When its streams began. */
  readonly helloAt: number[];
}

/** Opens pages of as many users, from a number on, at these addresses in turn; they are live when `until` says so. */
export async function openCrowd(
  urls: readonly string[],
  tenant: string,
  users: number,
  first = 0,
): Promise<CrowdPage[]> {
  const pages: CrowdPage[] = [];
  for (let number = first; number < first + users; number++) {
    const token = await tokenFor({ sub: `user-${number}`, tenant, role: "user" });
    const url = urls[number % urls.length] as string;
    const client = connectTidings({ url, token: async () => token, transport: "ws" });
    const page: CrowdPage = { client, titles: [], caughtUpAt: [], helloAt: [] };
    client.on("message", ({ title }) => page.titles.push(title));
    client.on("hello", () => page.helloAt.push(performance.now()));
    client.on("caughtUp", () => page.caughtUpAt.push(performance.now()));
    pages.push(page);
  }
  return pages;
}

/** Waits until something holds of every page; answers how many it does not hold of when the time is over. */
export async function until(
  pages: readonly CrowdPage[],
  holds: (page: CrowdPage) => boolean,
  withinMs: number,
): Promise<number> {
  const end = performance.now() + withinMs;
  for (;;) {
    const missing = pages.filter((page) => !holds(page)).length;
    if (missing === 0 || performance.now() > end) return missing;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Closes all pages. */
export function closeCrowd(pages: readonly CrowdPage[]): void {
  for (const { client } of pages) client.close();
}
