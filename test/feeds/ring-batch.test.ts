import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Kind, MessageSchema } from "../../gen/tidings/v1/message_pb.ts";
import { Ring } from "../../src/feeds/ring.ts";
import { type Decision, RingBatch } from "../../src/feeds/ring-batch.ts";
import { FlushQueue } from "../../src/wire/flush-queue.ts";
import { MessageFrame } from "../../src/wire/frame.ts";

const now = 1_800_000_000_000;
const clock = { now: () => now };

function frame(seq: number, { category = "", expireTime = Number.POSITIVE_INFINITY } = {}): MessageFrame {
  const body = toBinary(MessageSchema, create(MessageSchema, { kind: Kind.NOTIFICATION, category }));
  return new MessageFrame(body, expireTime, {
    id: `id-${seq}`,
    seq,
    position: { feed: "tenant", epoch: 1, seq: String(seq) },
  });
}

/** Starts a batch, adds a stream that waits for it, and pushes the frames. */
function batchOf(frames: readonly MessageFrame[]) {
  const ring = new Ring();
  const batch = new RingBatch(ring, new FlushQueue(() => {}), () => {});
  batch.add({ deliver: () => {}, failed: () => {} }, { slot: 0, seq: 0 });
  for (const each of frames) ring.push(each);
  return { ring, batch };
}

function seqs(decision: Decision | undefined): number[] | undefined {
  return decision?.plain.map((each) => (each as MessageFrame).seq);
}

describe("A batch of a ring", () => {
  test("leaves out messages that were recalled or have expired before it is flushed, and moves streams past them", () => {
    const { ring, batch } = batchOf([frame(1), frame(2), frame(3, { expireTime: now }), frame(4)]);
    ring.recall(new Set(["id-2"]));
    batch.flush();
    expect(seqs(batch.decide(undefined, clock))).toEqual([1, 4]);
    expect(batch.lastSeq).toBe(4);
  });

  test("decides once for each filter, and says whether the filter hides a notification", () => {
    const { batch } = batchOf([frame(1, { category: "a" }), frame(2, { category: "b" })]);
    batch.flush();
    const all = batch.decide(undefined, clock);
    const onlyA = { kinds: [], categories: ["a"], events: [] };
    const some = batch.decide(onlyA, clock);
    expect([seqs(all), seqs(some)]).toEqual([[1, 2], [1]]);
    expect([all?.hidesNotification, some?.hidesNotification]).toEqual([false, true]);
    expect(some?.alertable.map(({ seq }) => seq)).toEqual([1]);
    expect(batch.decide(onlyA, clock)).toBe(some);
  });

  test("takes no stream at another position than the first, and delivers nothing to it", () => {
    const delivered: string[] = [];
    const member = (name: string) => ({ deliver: () => void delivered.push(name), failed: () => {} });
    const { ring, batch } = batchOf([]);
    expect(batch.add(member("same"), { slot: 0, seq: 0 })).toBe(true);
    expect(batch.add(member("later seq"), { slot: 0, seq: 1 })).toBe(false);
    expect(batch.add(member("later slot"), { slot: 1, seq: 0 })).toBe(false);
    ring.push(frame(1));
    batch.flush();
    expect(delivered).toEqual(["same"]);
  });

  test("leaves the decision to each stream where a message is missing or may have been recalled", () => {
    const { batch: withGap } = batchOf([frame(1), frame(3)]);
    withGap.flush();
    expect(withGap.decide(undefined, clock)).toBeUndefined();
    const { ring, batch: doubtful } = batchOf([frame(1)]);
    ring.doubt();
    doubtful.flush();
    expect(doubtful.decide(undefined, clock)).toBeUndefined();
  });

  test("sends a message once whose notice is repeated", () => {
    const { batch } = batchOf([frame(1), frame(1), frame(2)]);
    batch.flush();
    expect(seqs(batch.decide(undefined, clock))).toEqual([1, 2]);
  });
});
