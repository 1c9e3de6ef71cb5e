/** A process with a share of many pages, forked by page-processes.ts. It opens its pages and answers calls about them. */
import type { Call, PageCondition, PageRecord, Result } from "./page-processes.ts";
import { openPages } from "./pages.ts";

const [url = "", tenant = "", users, first] = process.argv.slice(2);
const pages = await openPages([url], tenant, Number(users), Number(first));

/** Times are sent as ms since the Unix epoch, so that those of several processes can be compared. */
const { timeOrigin } = performance;

function count({ live, caughtUp, titles = 0 }: PageCondition): number {
  return pages.filter(
    (page) =>
      (!live || page.client.state.value === "live") &&
      (!caughtUp || page.caughtUpAt.length > 0) &&
      page.titles.length >= titles,
  ).length;
}

function records(): PageRecord[] {
  return pages.map(({ titles, helloAt, caughtUpAt }) => ({
    titles,
    helloAt: helloAt.map((at) => timeOrigin + at),
    caughtUpAt: caughtUpAt.map((at) => timeOrigin + at),
  }));
}

function clearTimes(): void {
  for (const { helloAt, caughtUpAt } of pages) {
    helloAt.length = 0;
    caughtUpAt.length = 0;
  }
}

process.on("message", ({ id, command }: Call) => {
  if (command === "clear times") clearTimes();
  const value = command === "records" ? records() : command === "clear times" ? 0 : count(command);
  process.send?.({ id, value } satisfies Result);
});
process.on("disconnect", () => process.exit());
process.send?.({ id: 0, value: pages.length } satisfies Result);
