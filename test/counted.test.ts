import { describe, expect, test } from "vitest";
import { Counted } from "../src/counted.ts";
import type { Totals } from "../src/inbox.ts";

/** Totals of feeds by name: counted up to a seq, with the oldest unread one, if any. */
function totals(feeds: Record<string, readonly [through: number, oldest?: number]>): Totals {
  const all = Object.entries(feeds);
  return {
    feeds: all.map(([name]) => ({ name, key: { tenant: "acme", name } })),
    heads: all.map(([, [seq]]) => ({ epoch: 1, seq, tail: 1 })),
    oldest: all.map(([, [, oldest]]) => oldest ?? Number.POSITIVE_INFINITY),
  } as unknown as Totals;
}

describe("Counted", () => {
  test("knows what comes on top of the totals, feed by feed", () => {
    const counted = new Counted(10);
    expect(counted.isBeyond("user", 1)).toBe(false);
    counted.set(totals({ user: [5], "room/a": [0] }));
    expect([counted.isBeyond("user", 5), counted.isBeyond("user", 6)]).toEqual([false, true]);
    expect([counted.isBeyond("room/a", 1), counted.isBeyond("room/b", 1)]).toEqual([true, false]);
    expect([counted.has("room/a"), counted.has("room/b")]).toEqual([true, false]);
    counted.set(totals({ user: [9] }));
    expect([counted.isBeyond("user", 9), counted.has("room/a")]).toEqual([false, false]);
  });

  test("knows when a counted message falls off a full feed", () => {
    const counted = new Counted(10);
    counted.set(totals({ user: [12, 4], tenant: [12] }));
    expect([counted.overflows("user", 13), counted.overflows("user", 14)]).toEqual([false, true]);
    expect(counted.overflows("tenant", 1000)).toBe(false);
    counted.add("tenant", 13);
    counted.add("tenant", 14);
    expect([counted.overflows("tenant", 22), counted.overflows("tenant", 23)]).toEqual([false, true]);
    counted.add("nowhere", 1);
    expect(counted.overflows("nowhere", 1000)).toBe(false);
  });
});
