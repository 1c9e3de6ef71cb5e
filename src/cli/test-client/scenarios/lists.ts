/** Lists, page by page. */
import { note } from "../calls.ts";
import type { Scenario } from "../stage.ts";

const pages: Scenario = {
  name: "lists",
  group: "subscriber",
  rule: 12,
  sentence: "A list goes on until next_page_token is empty, over short pages and empty ones.",
  async run(stage) {
    stage.send({ type: "listUnread", id: "list", request: { categories: ["news"], pageSize: 5 } });
    const sizes = [5, 1, 0, 5, 0, 2];
    const expected: string[] = [];
    for (const [index, size] of sizes.entries()) {
      const token = index === 0 ? "" : `page ${index}`;
      const call = await stage.call("listUnread", `a request for page ${index + 1} of ${sizes.length}`);
      const { pageToken, categories } = call.request;
      stage.require(pageToken === token, `the page token "${token}" was expected; it was "${pageToken}"`);
      stage.require(categories.join() === "news", `the same filters were expected for page ${index + 1}`);
      const messages = Array.from({ length: size }, (_, i) => note(100 - expected.length - i));
      expected.push(...messages.map(({ id }) => id));
      call.reply({ messages, nextPageToken: index === sizes.length - 1 ? "" : `page ${index + 1}` });
    }
    await stage.line("listEnd", "the line listEnd");
    const seen = stage.lines("listed").map(({ messageId }) => messageId);
    const same = seen.join() === expected.join();
    stage.require(
      same,
      `the ${expected.length} messages of all pages were expected in order; the program listed ${seen}`,
    );
  },
};

const largePage: Scenario = {
  name: "large-page",
  group: "subscriber",
  rule: 15,
  sentence: "A page of more than 4 MiB arrives: the limit is 16 MiB.",
  async run(stage) {
    stage.send({ type: "listUnread", id: "list", request: {} });
    const content = "x".repeat(64 * 1024);
    const messages = Array.from({ length: 100 }, (_, index) => note(100 - index, "user", 1, { content }));
    (await stage.call("listUnread")).reply({ messages });
    await stage.line("listEnd", "the end of a list with a page of 6 MiB");
    const { length } = stage.lines("listed");
    stage.require(length === 100, `100 messages were expected; there were ${length}`);
  },
};

/** The scenarios of this file. */
export const listScenarios: readonly Scenario[] = [pages, largePage];
