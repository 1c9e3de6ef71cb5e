import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Position } from "../../../src/client/events.ts";
import { formatPositions, Positions, parsePositions } from "../../../src/client/state/positions.ts";

const at = (seq: number | string, epoch = 1, feed = "user") => ({ feed, epoch, seq: String(seq) });

function positionsAt(list: readonly Position[]): Positions {
  const positions = new Positions();
  positions.advance(list);
  return positions;
}

test("A position advances, never goes back, and is exact for every uint64", () => {
  const positions = positionsAt([at("18446744073709551614")]);
  positions.advance([at(7), at("9")]);
  expect(positions.list()).toEqual([at("18446744073709551614")]);
  expect(positions.includes(at("18446744073709551614"))).toBe(true);
  expect(positions.includes(at("18446744073709551615"))).toBe(false);
});

test("A position of another epoch replaces the old one, even with a lower seq", () => {
  const positions = positionsAt([at(500, 1)]);
  expect(positions.includes(at(3, 2))).toBe(false);
  positions.advance([at(3, 2)]);
  expect(positions.list()).toEqual([at(3, 2)]);
});

test("Each feed has a position of its own", () => {
  const positions = positionsAt([at(5), at(9, 1, "tenant")]);
  expect(positions.includes(at(6))).toBe(false);
  expect(positions.includes(at(9, 1, "tenant"))).toBe(true);
});

describe("The text of positions in a storage", () => {
  const position = fc.record({
    feed: fc.constantFrom("user", "tenant", "activity", "everyone", "room/a"),
    epoch: fc.nat(0xffff_ffff),
    seq: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(String),
  });

  test("is decoded to the positions that it encodes", () => {
    fc.assert(
      fc.property(fc.uniqueArray(position, { selector: ({ feed }) => feed }), (list) => {
        expect(parsePositions(formatPositions(list))).toEqual(list);
      }),
    );
  });

  test("may be anything: entries that are no positions are ignored", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(() => positionsAt(parsePositions(text))).not.toThrow();
      }),
    );
    const bad = [
      at(1, 1, "rooms/b"),
      at(1, 1, "x"),
      at(-1),
      at("1e3"),
      at("18446744073709551616"),
      at(1, -1),
      at(1, 0.5),
      null,
      7,
    ];
    expect(parsePositions(JSON.stringify([...bad, at(4)]))).toEqual([at(4)]);
    expect(parsePositions(null)).toEqual([]);
  });
});
