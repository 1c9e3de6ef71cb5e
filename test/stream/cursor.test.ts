import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { PositionSchema } from "../../gen/tidings/v1/message_pb.ts";
import { userFeed } from "../../src/feeds/feed.ts";
import { Ring } from "../../src/feeds/ring.ts";
import { unbounded } from "../../src/ports/store.ts";
import { Cursor } from "../../src/stream/cursor.ts";
import { MessageFrame } from "../../src/wire/frame.ts";
import { reasonFrom } from "../support/core.ts";

const bounds = { epoch: 5, seq: 10, tail: 1 };

function frame(seq: number): MessageFrame {
  const body = new Uint8Array(0);
  if (seq === 0) return new MessageFrame(body, Number.POSITIVE_INFINITY);
  return new MessageFrame(body, Number.POSITIVE_INFINITY, {
    id: `id-${seq}`,
    seq,
    position: { feed: "user", epoch: 5, seq: String(seq) },
  });
}

function given(seq: number, epoch = 5) {
  return { position: create(PositionSchema, { feed: "user", epoch, seq: String(seq) }), field: "positions[0]" };
}

/** A cursor at a seq, and its ring. */
function build(seq = 10) {
  const ring = new Ring();
  const cursor = new Cursor(userFeed("acme", "ann"), ring);
  cursor.start(bounds, given(seq));
  const push = (...seqs: number[]) => {
    for (const each of seqs) ring.push(frame(each));
  };
  const take = (limit = 100, upTo = unbounded) => {
    const { frames, missing } = cursor.take(limit, upTo);
    return { seqs: frames.map(({ seq }) => seq), missing };
  };
  return { cursor, push, take };
}

describe("A cursor starts", () => {
  function start(from: Parameters<Cursor["start"]>[1], at = bounds) {
    const cursor = new Cursor(userFeed("acme", "ann"), new Ring());
    const gap = cursor.start(at, from);
    return { position: cursor.position, gap };
  }

  test("at the end without a position", () => {
    expect(start(undefined)).toMatchObject({ position: { feed: "user", epoch: 5, seq: "10" }, gap: undefined });
  });

  test("after a position, whose epoch 0 stands for the present one", () => {
    expect(start(given(3))).toMatchObject({ position: { seq: "3" }, gap: undefined });
    expect(start(given(3, 0))).toMatchObject({ position: { epoch: 5, seq: "3" }, gap: undefined });
    expect(start(given(10))).toMatchObject({ position: { seq: "10" }, gap: undefined });
    expect(start(given(0))).toMatchObject({ position: { seq: "0" }, gap: undefined });
  });

  test("at the end, after a gap, when the feed was rebuilt", () => {
    const { position, gap } = start(given(99, 4));
    expect(position).toMatchObject({ epoch: 5, seq: "10" });
    expect(gap).toMatchObject({ after: { epoch: 4, seq: "99" }, to: { epoch: 5, seq: "10" } });
  });

  test("before the tail, after a gap, when retention has trimmed messages", () => {
    const trimmed = { epoch: 5, seq: 10, tail: 7 };
    expect(start(given(2), trimmed).gap).toMatchObject({ after: { seq: "2" }, to: { seq: "6" } });
    expect(start(given(5), trimmed).gap).toMatchObject({ after: { seq: "5" }, to: { seq: "6" } });
    expect(start(given(6), trimmed)).toMatchObject({ position: { seq: "6" }, gap: undefined });
  });

  test("at no position beyond the end, which is POSITION_IN_FUTURE", async () => {
    expect(await reasonFrom(() => start(given(11)))).toBe("POSITION_IN_FUTURE");
    expect(await reasonFrom(() => start(given(11, 0)))).toBe("POSITION_IN_FUTURE");
    const huge = {
      position: create(PositionSchema, { feed: "user", epoch: 5, seq: "18446744073709551615" }),
      field: "positions[0]",
    };
    expect(await reasonFrom(() => start(huge))).toBe("POSITION_IN_FUTURE");
  });
});

describe("A cursor takes", () => {
  test("new frames once and in order", () => {
    const { push, take } = build();
    push(11, 12);
    expect(take()).toEqual({ seqs: [11, 12], missing: undefined });
    expect(take()).toEqual({ seqs: [], missing: undefined });
    push(13);
    expect(take()).toEqual({ seqs: [13], missing: undefined });
  });

  test("no more frames than the limit", () => {
    const { push, take } = build();
    push(11, 12, 13);
    expect(take(2).seqs).toEqual([11, 12]);
    expect(take(2).seqs).toEqual([13]);
  });

  test("nothing beyond `upTo`, and the rest later", () => {
    const { push, take } = build();
    push(11, 12, 13);
    expect(take(100, 12).seqs).toEqual([11, 12]);
    expect(take(100, 12).seqs).toEqual([]);
    expect(take().seqs).toEqual([13]);
  });

  test("repeated and late frames once", () => {
    const { push, take } = build();
    push(11, 11, 10, 12, 11, 12);
    expect(take().seqs).toEqual([11, 12]);
  });

  test("nothing across a hole, and reports the end of the hole as missing", () => {
    const { cursor, push, take } = build();
    push(11, 14);
    expect(take()).toEqual({ seqs: [11], missing: 13 });
    expect(take()).toEqual({ seqs: [], missing: 13 });
    cursor.seq = 13;
    expect(take()).toEqual({ seqs: [14], missing: undefined });
  });

  test("messages that are not stored between the others", () => {
    const { push, take } = build();
    push(0, 11, 0, 13);
    expect(take()).toEqual({ seqs: [0, 11, 0], missing: 12 });
  });

  test("nothing when it fell off the ring, and reports up to where the Store has to be read", () => {
    const { push, take } = build();
    push(...Array.from({ length: 300 }, (_, index) => 11 + index));
    expect(take()).toEqual({ seqs: [], missing: 54 });
  });

  test("no live message from before it was made", () => {
    const ring = new Ring();
    ring.push(frame(0));
    const cursor = new Cursor(userFeed("acme", "ann"), ring);
    cursor.start(bounds, undefined);
    expect(cursor.take(10, unbounded).frames).toEqual([]);
  });
});
