import { describe, expect, test } from "vitest";
import { ReadChange } from "../../src/inbox/read-change.ts";

const nothing = { readIds: [], unreadIds: [], deletedIds: [], all: false };
const unnamed = nothing;

function ids(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}

function joined(...changes: Partial<Parameters<ReadChange["add"]>[0]>[]) {
  const change = new ReadChange();
  for (const each of changes) change.add({ ...nothing, ...each });
  return change.take();
}

describe("ReadChange", () => {
  test("is due from a change until it is taken", () => {
    const change = new ReadChange();
    expect(change.due).toBe(false);
    change.add({ ...nothing, readIds: ["a"] });
    expect(change.due).toBe(true);
    expect(change.take()).toEqual({ ...nothing, readIds: ["a"] });
    expect(change.due).toBe(false);
    expect(change.take()).toEqual(nothing);
  });

  test("names nothing when only totals changed", () => {
    const change = new ReadChange();
    change.totalsOnly();
    expect(change.due).toBe(true);
    expect(change.take()).toEqual(nothing);
  });

  test("joins changes, of which the latest of each message counts", () => {
    expect(joined({ readIds: ["a", "b"] }, { unreadIds: ["a"] })).toEqual({
      ...nothing,
      readIds: ["b"],
      unreadIds: ["a"],
    });
    expect(joined({ unreadIds: ["a"] }, { readIds: ["a"] })).toEqual({ ...nothing, readIds: ["a"] });
    expect(joined({ readIds: ["a"], unreadIds: ["b"] }, { deletedIds: ["a", "b"] })).toEqual({
      ...nothing,
      deletedIds: ["a", "b"],
    });
  });

  test("of everything overrides earlier unread marks, not later ones", () => {
    expect(joined({ unreadIds: ["a"] }, { all: true })).toEqual({ ...nothing, all: true, readIds: ["a"] });
    expect(joined({ all: true }, { unreadIds: ["a"] })).toEqual({ ...nothing, all: true, unreadIds: ["a"] });
  });

  test("names up to 1,000 messages, and none beyond that", () => {
    expect(joined({ readIds: ids("a", 1000) }).readIds).toHaveLength(1000);
    expect(joined({ readIds: ids("a", 600) }, { deletedIds: ids("b", 401) })).toEqual(unnamed);
  });

  test("names nothing when one of the joined changes names nothing", () => {
    expect(joined({ readIds: ["a"] }, nothing, { deletedIds: ["b"] })).toEqual(unnamed);
  });

  test("names messages again after it named none", () => {
    const change = new ReadChange();
    change.add(nothing);
    change.take();
    change.add({ ...nothing, readIds: ["a"] });
    expect(change.take()).toEqual({ ...nothing, readIds: ["a"] });
  });
});
