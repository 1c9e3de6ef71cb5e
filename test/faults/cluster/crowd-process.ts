/** A part of a crowd, forked by crowds.ts: opens its pages, and answers what it is asked about them. */
import { openCrowd } from "./crowd.ts";
import type { Answer, Holds, Question, Seen } from "./crowds.ts";

const [url = "", tenant = "", users, first] = process.argv.slice(2);
const pages = await openCrowd([url], tenant, Number(users), Number(first));

/** Times go out as milliseconds since the epoch, so that processes can compare them. */
const since = performance.timeOrigin;

function count({ live, caughtUp, titles = 0 }: Holds): number {
  return pages.filter(
    (page) =>
      (!live || page.client.state.value === "live") &&
      (!caughtUp || page.caughtUpAt.length > 0) &&
      page.titles.length >= titles,
  ).length;
}

function seen(): Seen[] {
  return pages.map(({ titles, helloAt, caughtUpAt }) => ({
    titles,
    helloAt: helloAt.map((at) => since + at),
    caughtUpAt: caughtUpAt.map((at) => since + at),
  }));
}

function forgetTimes(): void {
  for (const { helloAt, caughtUpAt } of pages) {
    helloAt.length = 0;
    caughtUpAt.length = 0;
  }
}

process.on("message", ({ number, ask }: Question) => {
  if (ask === "forget times") forgetTimes();
  const answer = ask === "seen" ? seen() : ask === "forget times" ? 0 : count(ask);
  process.send?.({ number, answer } satisfies Answer);
});
process.on("disconnect", () => process.exit());
process.send?.({ number: 0, answer: pages.length } satisfies Answer);
