import { describe, expect, test } from "vitest";
import { countRows, fromAnswer, fromRows, toAnswer, toRows } from "../../../src/adapters/sqlite/append-rows.ts";
import type { AppendResult } from "../../../src/ports/store.ts";
import { message } from "../../support/store-messages.ts";

const epoch = 7;
const one = message("t", { feeds: ["user/ann"], keyTime: 5 });
const many = message("t", { feeds: ["user/ann", "user/bob"], key: "k", digest: "d", keyTime: 6, replace: true });
const none = message("t", { feeds: [], expireTime: Number.POSITIVE_INFINITY, keyTime: 7 });

describe("Messages on their way to the store's thread", () => {
  test.each([
    ["one", [one]],
    ["several", [one, many, none]],
    ["none", []],
  ])("arrive as they were: %s", (_name, sent) => {
    const rows = structuredClone(toRows(sent));
    expect(fromRows(rows)).toEqual(sent);
    expect(countRows(rows)).toBe(sent.length);
  });

  test("have their publish time as the time of the key unless they have one", () => {
    const { keyTime: _none, ...without } = one;
    expect(fromRows(toRows([without]))).toEqual([{ ...without, keyTime: without.publishTime }]);
  });
});

test("The results of an append arrive as they were", () => {
  const stored = (of: typeof one, seqs: number[]) =>
    ({ outcome: "stored", id: of.id, publishTime: of.publishTime, epoch, seqs }) as const;
  const location = { id: "old", feed: { tenant: "t", name: "user/ann" }, seq: 3, kind: 1, category: "", expireTime: 9 };
  const results: AppendResult[] = [
    stored(one, [1]),
    stored(many, [2, 1]),
    stored(none, []),
    { ...stored(one, [4]), replaced: [location] },
    { outcome: "duplicate", id: "earlier", publishTime: 1, epoch, seqs: [] },
    { outcome: "conflict" },
  ];
  const sent = [one, many, none, one, one, one];
  expect(fromAnswer(sent, structuredClone(toAnswer(epoch, results)))).toEqual(results);
});
