import { expect, test } from "vitest";
import { ByteLimit } from "../../src/util/byte-limit.ts";

/** A limit of 10 bytes, and the work that has begun, by its bytes. */
function limited() {
  const limit = new ByteLimit(10);
  const begun: number[] = [];
  return { limit, begun, enter: (bytes: number) => limit.enter(bytes, () => begun.push(bytes)) };
}

test("Work begins at once while it fits, and waits in order when it does not", () => {
  const { limit, begun, enter } = limited();
  for (const bytes of [4, 6, 5, 1]) enter(bytes);
  expect(begun).toEqual([4, 6]);
  limit.free(4);
  // The last one would fit, but must not overtake.
  expect(begun).toEqual([4, 6]);
  limit.free(6);
  expect(begun).toEqual([4, 6, 5, 1]);
  expect(limit.used).toBe(6);
});

test("Work of more than the limit runs alone", () => {
  const { limit, begun, enter } = limited();
  for (const bytes of [1, 50, 2]) enter(bytes);
  expect(begun).toEqual([1]);
  limit.free(1);
  expect(begun).toEqual([1, 50]);
  limit.free(50);
  expect(begun).toEqual([1, 50, 2]);
});

test("Bytes that turn out to be more or fewer are taken and given back without waiting", () => {
  const { limit, begun, enter } = limited();
  enter(5);
  limit.free(-20);
  enter(1);
  expect([limit.used, begun]).toEqual([25, [5]]);
  limit.free(22);
  expect([limit.used, begun]).toEqual([4, [5, 1]]);
});

test("Work that stops waiting lets the work behind it begin, and is never begun", () => {
  const { limit, begun, enter } = limited();
  enter(8);
  const stop = enter(5);
  enter(2);
  stop();
  stop();
  expect(begun).toEqual([8, 2]);
  limit.free(10);
  expect([begun, limit.isIdle]).toEqual([[8, 2], true]);
});
