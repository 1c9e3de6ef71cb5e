import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ListMessagesRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import type { Selection } from "../../src/ports/store.ts";
import { startTestCore, type TestCore, toTenant, toUser, userOf } from "../support/core.ts";

let node: TestCore;
/** Selections so far. */
let selections: Selection[];
/** Selections that have started and wait for `release`. */
let held: (() => void)[] | undefined;
const ann = userOf("acme");
const bob = userOf("acme", "bob");
/** A message to ann. */
let anId: string;

beforeEach(async () => {
  selections = [];
  held = undefined;
  node = await startTestCore({ retention: { count: 100_000 } });
  const select = node.store.select.bind(node.store);
  node.store.select = async (selection) => {
    selections.push(selection);
    if (held) await new Promise<void>((resolve) => held?.push(resolve));
    return select(selection);
  };
  for (const user of [ann, bob]) await node.unread(user);
  [anId = ""] = await node.publishMany("acme", toUser("ann"), 30);
  await node.publishMany("acme", toTenant, 30);
  selections = [];
});
afterEach(() => node.close());

/** Lets the selections that wait go on, and all later ones. */
function release(): void {
  const waiting = held ?? [];
  held = undefined;
  for (const resolve of waiting) resolve();
}

describe("Lists", () => {
  test("that are the same at the same time are read once", async () => {
    const pages = await Promise.all(Array.from({ length: 50 }, () => node.messages(ann)));
    expect(selections).toHaveLength(4);
    for (const { messages } of pages) expect(messages).toEqual(pages[0]?.messages);
    const unread = await Promise.all(Array.from({ length: 50 }, () => node.unread(ann, { pageSize: 5 })));
    expect(selections).toHaveLength(4 + 3);
    for (const page of unread) expect(page).toEqual(unread[0]);
  });

  test("of other users, filters, sizes and pages are not shared", async () => {
    const other = await node.messages(bob);
    const [first, small, filtered, next] = await Promise.all([
      node.messages(ann),
      node.messages(ann, { pageSize: 2 }),
      node.messages(ann, { categories: ["none"] }),
      node.messages(ann).then(({ nextPageToken }) => node.messages(ann, { pageToken: nextPageToken })),
    ]);
    const sizes = [first, small, filtered, next, other].map(({ messages }) => messages.length);
    expect(sizes).toEqual([15, 2, 0, 15, 15]);
    expect(next.messages[0]?.id).not.toBe(first.messages[0]?.id);
  });

  test.each<[string, () => Promise<unknown>]>([
    ["a message was published", () => node.publish("acme", toUser("ann"), { title: "new" })],
    ["a message was marked", () => node.mark(ann, { target: { case: "oldest", value: 1 } })],
    ["a message was recalled", () => node.core.recaller.recall("acme", [anId])],
  ])("that were begun before %s are not joined afterwards", async (_, change) => {
    held = [];
    const before = node.messages(ann);
    await expect.poll(() => held?.length).toBe(4);
    const waiting = held;
    held = undefined;
    await change();
    selections = [];
    const after = await node.messages(ann);
    expect(selections.length).toBeGreaterThanOrEqual(4);
    for (const resolve of waiting) resolve();
    expect((await before).messages).toHaveLength(15);
    expect(after.messages).toHaveLength(15);
  });

  test("of one user are read two at a time, and those of others meanwhile", async () => {
    held = [];
    const mine = Array.from({ length: 10 }, (_, index) => node.messages(ann, { pageSize: index + 1 }));
    await expect.poll(() => held?.length).toBe(8);
    const other = node.messages(bob);
    await expect.poll(() => held?.length).toBe(12);
    release();
    expect((await Promise.all(mine)).map(({ messages }) => messages.length)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect((await other).messages).toHaveLength(15);
  });

  test("of a service have no such limit", async () => {
    held = [];
    const service = { ...ann, role: "service" as const };
    const request = (pageSize: number) => create(ListMessagesRequestSchema, { pageSize });
    const pages = Array.from({ length: 10 }, (_, index) => node.core.lists.messages(service, request(index + 1)));
    await expect.poll(() => held?.length).toBe(30);
    release();
    await Promise.all(pages);
  });

  test("look through a large feed in parts, until the page is full", async () => {
    await node.publishMany("acme", toUser("ann"), 1, () => ({ category: "rare", title: "old" }));
    for (let batch = 0; batch < 5; batch++) await node.publishMany("acme", toUser("ann"), 9_000);
    selections = [];
    const { messages } = await node.messages(ann, { categories: ["rare"] });
    expect(messages.map(({ title }) => title)).toEqual(["old"]);
    const own = selections.filter(({ feed }) => feed.name === "user/ann");
    expect(own.length).toBe(3);
    for (const { ranges } of own) {
      expect(ranges.reduce((sum, [from, to]) => sum + to - from + 1, 0)).toBeLessThanOrEqual(20_000);
    }
    selections = [];
    expect((await node.messages(ann)).messages).toHaveLength(15);
    expect(selections.filter(({ feed }) => feed.name === "user/ann")).toHaveLength(1);
  });
});
