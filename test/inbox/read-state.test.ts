import { describe, expect, test } from "vitest";
import { ReadState } from "../../src/inbox/read-state.ts";
import { unbounded } from "../../src/ports/store.ts";

const newUser = { version: 0, json: "" };

describe("ReadState", () => {
  test("of a new user has no read messages", () => {
    const state = ReadState.decode(newUser);
    expect(state.version).toBe(0);
    expect(state.unreadRanges("user")).toEqual([[1, unbounded]]);
    expect(state.visibleRanges("user")).toEqual([[1, unbounded]]);
    expect(state.readRanges("user")).toEqual([]);
  });

  test("counts neither read nor deleted messages as unread", () => {
    const state = ReadState.decode(newUser);
    state.read("user").add(1, 5);
    state.deleted("user").add(4, 8);
    expect(state.unreadRanges("user", 10)).toEqual([[9, 10]]);
    expect(state.readRanges("user", 10)).toEqual([[1, 3]]);
    expect(state.visibleRanges("user")).toEqual([
      [1, 3],
      [9, unbounded],
    ]);
  });

  test("keeps feeds apart", () => {
    const state = ReadState.decode(newUser);
    state.read("user").add(1, 5);
    expect(state.unreadRanges("tenant", 3)).toEqual([[1, 3]]);
  });

  test("is decoded unchanged from its encoding, as the next version", () => {
    const state = ReadState.decode({ version: 6, json: '{"user":{"read":[1,2],"deleted":[4,4]}}' });
    state.read("tenant").add(3);
    const stored = state.encode();
    expect(stored.version).toBe(7);
    const again = ReadState.decode(stored);
    expect(again.version).toBe(7);
    expect(again.readRanges("user")).toEqual([[1, 2]]);
    expect(again.deleted("user").has(4)).toBe(true);
    expect(again.readRanges("tenant")).toEqual([[3, 3]]);
  });

  test("has no ranges up to seq 0", () => {
    const state = ReadState.decode(newUser);
    state.read("user").add(1, 5);
    expect(state.readRanges("user", 0)).toEqual([]);
    expect(state.unreadRanges("user", 0)).toEqual([]);
  });

  test("joins trimmed seqs into one run, whatever was marked among them", () => {
    const state = ReadState.decode(newUser);
    for (let seq = 1; seq < 1000; seq += 2) state.read("user").add(seq);
    for (let seq = 2; seq < 1000; seq += 4) state.deleted("user").add(seq);
    state.compact("user", 990);
    expect(state.read("user").toJSON()).toEqual([1, 991, 993, 993, 995, 995, 997, 997, 999, 999]);
    expect(state.deleted("user").toJSON()).toEqual([994, 994, 998, 998]);
    expect(state.unreadRanges("user", 999)).toEqual([
      [992, 992],
      [996, 996],
    ]);
  });
});
