import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  canonicalRoom,
  directRoom,
  directUsers,
  isGranted,
  namedRooms,
  requireRoom,
  roomFeed,
  roomOf,
} from "../../src/rooms/grants.ts";
import { reasonFrom } from "../support/core.ts";
import { member } from "../support/rooms.ts";

const ann = member("ann");
/** Ids with every character that has a meaning within a room id or a grant. */
const id = fc.stringMatching(/^[ab/%2F5*{}.\\]{1,12}$/);

describe("A direct room", () => {
  test("is the same for its two users in either order, and for no other pair", () => {
    fc.assert(
      fc.property(id, id, id, id, (a, b, c, d) => {
        expect(directRoom(a, b)).toBe(directRoom(b, a));
        expect(directUsers(directRoom(a, b))).toEqual([a, b].sort());
        const samePair = [a, b].sort().join("\n") === [c, d].sort().join("\n");
        expect(directRoom(a, b) === directRoom(c, d)).toBe(samePair);
        expect(canonicalRoom(directRoom(a, b))).toBe(directRoom(a, b));
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ["dm/b/a", "dm/a/b"],
    ["dm/12/3", "dm/12/3"],
    ["dm/1/23", "dm/1/23"],
    ["dm/a/a", "dm/a/a"],
    ["dm/z%2fy/a", "dm/a/z%2Fy"],
    ["dm/100%/a", "dm/100%25/a"],
    ["dm/%252F/a", "dm/%252F/a"],
    ["dm/ ä/a", "dm/ ä/a"],
    ["room/b/a", "room/b/a"],
    ["DM/b/a", "DM/b/a"],
  ])("written as %s has the canonical id %s", (room, canonical) => {
    expect(requireRoom(room, "room_id")).toBe(canonical);
  });

  test.each(["dm/", "dm/a", "dm/a/", "dm//b", "dm/a/b/c", "dm//", `dm/${"%".repeat(150)}/a`])(
    "is refused when it is malformed, or too long when escaped: %s",
    async (room) => {
      expect(await reasonFrom(() => requireRoom(room, "rooms[1].room_id"))).toBe("FIELD_INVALID");
      expect(() => requireRoom(room, "rooms[1].room_id")).toThrow(/^\[invalid_argument\] rooms\[1\]\.room_id: /);
    },
  );
});

test("The feed of a room belongs to its tenant, and its name has the room's id", () => {
  expect(roomFeed("acme", "a/b")).toEqual({ name: "room/a/b", key: { tenant: "acme", name: "room/a/b" } });
  expect(roomOf("room/a/b")).toBe("a/b");
  for (const feed of ["user", "tenant", "rooms/a", "everyone"]) expect(roomOf(feed)).toBeUndefined();
});

describe("A grant", () => {
  test.each([
    ["a", "a", true],
    ["a", "b", false],
    ["a", "aa", false],
    ["team-*", "team-7", true],
    ["team-*", "team-", false],
    ["team-*", "team-7/8", false],
    ["team-*", "ateam-7", false],
    ["team/**", "team/7/8", true],
    ["team/**", "team/", false],
    ["*", "a/b", false],
    ["**", "a/b", true],
    ["*/*", "a/b", true],
    ["*/*", "a/b/c", false],
    ["**/end", "a/b/end", true],
    ["***", "ab", true],
    ["***", "a", false],
    ["job-{sub}", "job-ann", true],
    ["job-{sub}", "job-bob", false],
    ["{sub}", "{sub}", false],
    ["{sub}/*", "ann/1", true],
    ["a.c", "abc", false],
    ["[ab]", "a", false],
    ["a+", "aa", false],
    ["😀*", "😀x", true],
  ])("%s, asked to open the room %s, gives %s", (grant, room, opens) => {
    expect(isGranted([grant], ann, room)).toBe(opens);
    expect(isGranted(["no", grant, "never"], ann, room)).toBe(opens);
  });

  test("with the user's own id opens no room of another user, whatever the id contains", () => {
    fc.assert(
      fc.property(id, id, (mine, theirs) => {
        const escaped = (user: string) => user.replaceAll("%", "%25").replaceAll("/", "%2F");
        const grants = ["inbox/{sub}", "a/{sub}/b"];
        expect(isGranted(grants, member(mine), `inbox/${escaped(theirs)}`)).toBe(mine === theirs);
        expect(isGranted(grants, member(mine), `a/${escaped(theirs)}/b`)).toBe(mine === theirs);
      }),
      { numRuns: 500 },
    );
  });

  test("matches as the equivalent regular expression does", () => {
    const grant = fc.stringMatching(/^[ab/*]{1,8}$/);
    const room = fc.stringMatching(/^[ab/]{1,10}$/);
    fc.assert(
      fc.property(grant, room, (pattern, text) => {
        const source = pattern.replaceAll(/\*\*|\*/g, (star) => (star === "**" ? ".+" : "[^/]+"));
        expect(isGranted([pattern], ann, text)).toBe(new RegExp(`^${source}$`).test(text));
      }),
      { numRuns: 2000 },
    );
  });

  test("made to backtrack forever is matched in linear time", () => {
    expect(isGranted(["*a".repeat(150)], ann, "a".repeat(319))).toBe(true);
    expect(isGranted([`${"**".repeat(150)}b`], ann, "a".repeat(320))).toBe(false);
  });

  test("without a star names a room, once, but never a direct room", () => {
    const grants = ["a", "b-*", "c/**", "{sub}/x", "a", "dm/ann/bob", "ann/x"];
    expect(namedRooms(grants, ann)).toEqual(["a", "ann/x"]);
    expect(namedRooms(["{sub}"], member("1/2%"))).toEqual(["1%2F2%25"]);
  });
});
