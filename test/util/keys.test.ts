import { expect, test } from "vitest";
import { fnv1a, joinKey, tenantKey } from "../../src/util/keys.ts";

// Vectors of draft-eastlake-fnv, appendix C.
test.each([
  ["", 0x811c9dc5],
  ["a", 0xe40c292c],
  ["foobar", 0xbf9cf968],
])("fnv1a of %j is the hash of its draft", (text, hash) => {
  expect(fnv1a(text)).toBe(hash);
});

test("fnv1a continues an earlier text as if both were one", () => {
  expect(fnv1a("bar", fnv1a("foo"))).toBe(fnv1a("foobar"));
});

test("Keys of different ids differ, though the ids have slashes", () => {
  expect(tenantKey("a", "b/c")).not.toBe(tenantKey("a/b", "c"));
  expect(joinKey("a", "b", "c")).toBe("a\nb\nc");
});
