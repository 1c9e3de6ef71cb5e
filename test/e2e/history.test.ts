import { describe, expect, test } from "vitest";
import { check, type Entry, type Finding, type History, type View } from "../faults/history.ts";

const at = (key: string, feed: string, seq: number): Entry => ({ key, id: `id-${key}`, feed, seq });
const own = "user/ann";
const first = { ...at("a", own, 1), read: true };
const second = at("b", own, 2);
const broadcast = { ...at("c", "tenant", 1), read: true };
const stream: View = { reader: "page", kind: "stream", feeds: [own, "tenant"], entries: [first, broadcast, second] };
const list: View = { reader: "ann", kind: "list", feeds: [own, "tenant"], entries: [second, broadcast, first] };

/** Three stored publishes, of which `b` was never answered, and one that was not stored. */
const good: History = {
  publishes: [
    { key: "a", feeds: [own], at: 1 },
    { key: "b", feeds: [own, "user/bob"], at: 1 },
    { key: "c", feeds: ["tenant"], at: 2 },
    { key: "never stored", feeds: ["tenant"], at: 2 },
  ],
  answers: [
    { key: "a", id: "id-a", at: 3 },
    { key: "c", id: "id-c", at: 3 },
    { key: "c", id: "id-c", at: 4 },
  ],
  views: [stream, list],
  marks: [
    { reader: "ann", ids: ["id-a"], answered: true },
    { reader: "ann", ids: ["id-b", "id-c"], answered: false },
  ],
  totals: [{ reader: "page", badge: 2, listed: 2 }],
  counts: [{ node: "node 1", reported: "2 users", actual: "2 users" }],
};

const streamed = (...entries: Entry[]): History => ({ ...good, views: [{ ...stream, entries }, list] });
const listed = (...entries: Entry[]): History => ({ ...good, views: [{ ...list, entries }] });

const bad: readonly [what: string, kind: Finding["kind"], history: History][] = [
  ["an answered publish is not listed", "lost", listed(second, first)],
  [
    "a message was streamed and is not listed",
    "lost",
    { ...good, views: [stream, { ...list, entries: [broadcast, first] }] },
  ],
  ["an answered publish did not arrive", "missed", streamed(first, second)],
  ["a stored publish that was never answered did not arrive", "missed", streamed(first, broadcast)],
  ["another message arrived instead", "missed", streamed(first, broadcast, { ...second, id: "id-x" })],
  ["a message arrived twice", "twice", streamed(first, first, broadcast, second)],
  ["a repeated publish is listed twice", "twice", listed({ ...first, id: "id-2", seq: 3 }, second, broadcast, first)],
  ["two messages have the same position", "twice", listed({ ...second, seq: 1 }, broadcast, first)],
  ["a stream was out of order", "reordered", streamed(second, broadcast, first)],
  ["a list is not newest first", "reordered", listed(first, broadcast, second)],
  ["a message was never published", "phantom", streamed(first, broadcast, second, at("d", own, 3))],
  ["a message was for another user", "misdirected", streamed(first, { ...broadcast, feed: own }, second)],
  ["a retry got another id", "changed", { ...good, answers: [...good.answers, { key: "a", id: "id-2", at: 5 }] }],
  ["a seq was skipped", "hole", listed({ ...second, seq: 3 }, broadcast, first)],
  ["the first message is gone", "hole", listed(second, broadcast)],
  [
    "an answered publish stands behind one that was attempted later",
    "overtaken",
    {
      ...good,
      publishes: good.publishes.map((publish) => (publish.key === "a" ? { ...publish, at: 4 } : publish)),
      answers: [{ key: "b", id: "id-b", at: 3 }],
    },
  ],
  ["a marked message is not read", "mark", listed(second, broadcast, { ...first, read: false })],
  ["a message that was not marked is read", "mark", { ...good, marks: good.marks.slice(0, 1) }],
  [
    "a node counts a user that is gone",
    "count",
    { ...good, counts: [{ node: "node 1", reported: "3 users", actual: "2 users" }] },
  ],
  ["the badge is wrong", "badge", { ...good, totals: [{ reader: "page", badge: 3, listed: 2 }] }],
  ["the badge is unknown", "badge", { ...good, totals: [{ reader: "page", badge: undefined, listed: 2 }] }],
];

describe("The checker of histories", () => {
  test("finds nothing wrong with a correct history", () => {
    expect(check(good)).toEqual([]);
  });

  test.each(bad)("finds that %s (%s)", (_what, kind, history) => {
    expect(check(history).map((finding) => finding.kind)).toContain(kind);
  });
});
