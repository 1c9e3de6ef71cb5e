/** The cost to the store when many streams come back at once. */
import { expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { serviceOf, type TestCore, toTenant, userOf, withTestCore } from "../support/core.ts";
import type { Reader } from "../support/reader.ts";

/** A position in the tenant's feed; epoch 0 stands for the present one. */
const at = (seq: number) => ({ positions: [{ feed: "tenant", epoch: 0, seq: String(seq) }] });
const upTo = (last: number, from = 1) => Array.from({ length: last - from + 1 }, (_, index) => String(from + index));
const seqs = ({ messages }: Reader) => messages.map(({ position }) => position?.seq);

/** Opens live streams of `count` users of the tenant, which resume from a seq. */
function resume(node: TestCore, count: number, from: number): Promise<Reader[]> {
  const users = Array.from({ length: count }, (_, index) => userOf("acme", `user-${index}`));
  return Promise.all(users.map((user) => node.live(user, at(from))));
}

test("1,000 streams that lag at the same position read each page once", async () => {
  await withTestCore(async (node) => {
    await node.publishMany("acme", toTenant, 200);
    const readers = await resume(node, 1_000, 0);
    for (const reader of readers) expect(seqs(reader)).toEqual(upTo(200));
    expect(node.called("read")).toBe(Math.ceil(200 / 64));
  });
});

test("1,000 streams whose positions are still in the ring read nothing", async () => {
  await withTestCore(async (node) => {
    const witness = await node.live(userOf("acme", "witness"));
    await node.publishMany("acme", toTenant, 200);
    await witness.until(({ messages }) => messages.length === 200);
    const readers = await resume(node, 1_000, 10);
    for (const reader of readers) expect(seqs(reader)).toEqual(upTo(200, 11));
    expect(node.called("read")).toBe(0);
  });
});

test("A stream reads only the messages that the ring no longer holds", async () => {
  await withTestCore(async (node) => {
    const witness = await node.live(userOf("acme", "witness"));
    await node.publishMany("acme", toTenant, 300);
    await witness.until(({ messages }) => messages.length === 300);
    const [reader] = await resume(node, 1, 0);
    expect(seqs(reader as Reader)).toEqual(upTo(300));
    // The ring has the last 256.
    expect(node.called("read")).toBe(1);
  });
});

test("A stream that resumes from the ring gets neither recalled messages nor events that are not stored", async () => {
  await withTestCore(async (node) => {
    const witness = await node.live(userOf("acme", "witness"));
    const first = await node.publish("acme", toTenant, { title: "first" });
    await node.publish("acme", toTenant, { kind: Kind.EVENT, title: "gone" });
    await node.publish("acme", toTenant, { title: "second" });
    await node.publish("acme", toTenant, { title: "third" });
    await witness.until(({ messages }) => messages.length === 4);
    await node.core.recaller.recall("acme", [first.messageId]);
    const [reader] = await resume(node, 1, 0);
    expect((reader as Reader).messages.map(({ title }) => title)).toEqual(["second", "third"]);
    await node.publish("acme", toTenant, { kind: Kind.EVENT, title: "now" });
    await (reader as Reader).until(({ messages }) => messages.length === 3);
    expect((reader as Reader).messages.at(-1)?.title).toBe("now");
    expect(node.called("read")).toBe(0);
  });
});

test("Services resume from the ring as users do", async () => {
  await withTestCore(async (node) => {
    const witness = await node.live(serviceOf("acme"));
    await node.publishMany("acme", toTenant, 20);
    await witness.until(({ messages }) => messages.length === 20);
    const reader = await node.live(serviceOf("acme"), at(5));
    expect(seqs(reader)).toEqual(upTo(20, 6));
    expect(node.called("read")).toBe(0);
  });
});
