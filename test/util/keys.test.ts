import { expect, test } from "vitest";
import { exactKey, fnv1a, joinKey, tenantKey } from "../../src/util/keys.ts";

// Test vectors of draft-eastlake-fnv, appendix C.
test.each([
  ["", 0x811c9dc5],
  ["a", 0xe40c292c],
  ["foobar", 0xbf9cf968],
])("fnv1a of %j is the hash that its draft gives", (text, hash) => {
  expect(fnv1a(text)).toBe(hash);
});

test("fnv1a continues an earlier text as if both were one", () => {
  expect(fnv1a("bar", fnv1a("foo"))).toBe(fnv1a("foobar"));
});

test("joinKey and tenantKey keep different ids apart, though the ids have slashes", () => {
  expect(tenantKey("a", "b/c")).not.toBe(tenantKey("a/b", "c"));
  expect(joinKey("a", "b", "c")).toBe("a\nb\nc");
});

test("exactKey keeps different texts apart, whatever characters they have", () => {
  const texts = ["", "a", "b", "1:a,", "a,1:b", "a\n", "\nb", "1", "11:"];
  const keys = texts.flatMap((first) => [exactKey(first), ...texts.map((second) => exactKey(first, second))]);
  expect(new Set(keys).size).toBe(texts.length * (texts.length + 1));
  expect([exactKey("ab"), exactKey("ab", "c")]).toEqual(["2:ab,", "2:ab,1:c,"]);
});
