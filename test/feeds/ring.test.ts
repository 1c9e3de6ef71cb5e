import { describe, expect, test } from "vitest";
import { Ring } from "../../src/feeds/ring.ts";
import { MessageFrame } from "../../src/wire/frame.ts";

function frame(seq: number, bytes = 10): MessageFrame {
  const position = { feed: "user", epoch: 1, seq: String(seq) };
  return new MessageFrame(new Uint8Array(bytes), Number.POSITIVE_INFINITY, { id: `id-${seq}`, seq, position });
}

function held(ring: Ring): number[] {
  return Array.from({ length: ring.end - ring.first }, (_, index) => ring.at(ring.first + index).seq);
}

function upTo(last: number, from = 1): number[] {
  return Array.from({ length: last - from + 1 }, (_, index) => from + index);
}

describe("Ring", () => {
  test("starts empty", () => {
    expect(held(new Ring())).toEqual([]);
  });

  test("holds the newest 256 frames in slots whose numbers only grow", () => {
    const ring = new Ring();
    for (const seq of upTo(1000)) {
      ring.push(frame(seq));
      expect(ring.end).toBe(seq);
      expect(ring.at(seq - 1).seq).toBe(seq);
    }
    expect(ring.first).toBe(744);
    expect(held(ring)).toEqual(upTo(1000, 745));
  });

  test("holds fewer large frames, and always the newest one", () => {
    const ring = new Ring();
    for (const seq of upTo(200)) ring.push(frame(seq, 8 * 1024));
    const bytes = held(ring).length * frame(0, 8 * 1024).cost;
    expect(bytes).toBeLessThanOrEqual(1024 * 1024);
    expect(held(ring).length).toBeGreaterThan(1);
    ring.push(frame(201, 1024 * 1024));
    expect(held(ring)).toEqual([201]);
    ring.push(frame(202));
    expect(held(ring)).toEqual([202]);
    ring.push(frame(203));
    expect(held(ring)).toEqual([202, 203]);
  });

  test("marks recalled frames, and no others", () => {
    const ring = new Ring();
    for (const seq of upTo(4)) ring.push(frame(seq));
    ring.recall(new Set(["id-2", "id-4", "id-9"]));
    expect(upTo(4).filter((seq) => ring.at(seq - 1).recalled)).toEqual([2, 4]);
  });

  test("finds the slot after a seq, as far as it reaches and within one epoch", () => {
    const ring = new Ring();
    for (const seq of [7, 0, 8, 0, 9]) ring.push(seq === 0 ? new MessageFrame(new Uint8Array(1), 1) : frame(seq));
    expect([6, 7, 8, 9, 99].map((seq) => ring.slotAfter(seq, 1))).toEqual([0, 1, 3, 5, 5]);
    expect(ring.slotAfter(3, 1), "the Store has to be read up to the first slot").toBe(0);
    expect(ring.slotAfter(7, 2), "another epoch").toBe(5);
  });
});
