import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalRoom, directRoom, directUsers, escapeId, isBrokenDirect } from "../../src/rooms/room-ids.ts";

const id = fc.oneof(fc.string({ minLength: 1 }), fc.stringMatching(/^[%/25Ffa1]{1,6}$/));

describe("A direct room", () => {
  test("is the same for its two users in either order, and for no other pair", () => {
    fc.assert(
      fc.property(id, id, id, id, (a, b, c, d) => {
        expect(directRoom(a, b)).toBe(directRoom(b, a));
        expect(directUsers(directRoom(a, b))).toEqual([a, b].sort());
        const same = [a, b].sort().join("\0") === [c, d].sort().join("\0");
        expect(directRoom(a, b) === directRoom(c, d)).toBe(same);
      }),
    );
    expect(directRoom("1", "23")).not.toBe(directRoom("12", "3"));
    expect(directRoom("1/2", "3")).toBe("dm/1%2F2/3");
  });

  test.each([
    ["dm/b/a", "dm/a/b"],
    ["dm/%2fx/a", "dm/%2Fx/a"],
    ["dm/a", "dm/a"],
    ["team/b/a", "team/b/a"],
  ])("written as %s has the canonical id %s", (given, canonical) => {
    expect(canonicalRoom(given)).toBe(canonical);
  });

  test.each(["dm/", "dm/a", "dm/a/", "dm//b", "dm/a/b/c"])("is broken when it is written as %s", (broken) => {
    expect([isBrokenDirect(broken), directUsers(broken)]).toEqual([true, undefined]);
  });
});

test("An escaped id has no slash, and differs from every other escaped id", () => {
  fc.assert(
    fc.property(id, id, (a, b) => {
      expect(escapeId(a)).not.toContain("/");
      expect(escapeId(a) === escapeId(b)).toBe(a === b);
    }),
  );
});
