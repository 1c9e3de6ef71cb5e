import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeHeartbeat, decodeNotices, encodeHeartbeat, encodeNotices } from "../../../src/adapters/redis/codec.ts";
import type { Notice } from "../../../src/ports/bus.ts";

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const feed = fc.record({ tenant: text, name: text });
const body = fc.uint8Array({ maxLength: 50 });
const ids = fc.array(text, { maxLength: 4 });
const seq = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const notice: fc.Arbitrary<Notice> = fc.oneof(
  fc.record({
    type: fc.constant("entry" as const),
    feed,
    epoch: seq,
    seq,
    id: text,
    body,
    expireTime: fc.constantFrom(Number.POSITIVE_INFINITY, 0, 1.5),
  }),
  fc.record({ type: fc.constant("live" as const), feed, body }),
  fc.record({
    type: fc.constant("read" as const),
    tenant: text,
    user: text,
    readIds: ids,
    unreadIds: ids,
    deletedIds: ids,
    all: fc.boolean(),
  }),
  fc.record({ type: fc.constant("recall" as const), feed, ids }),
  fc.record({ type: fc.constant("disconnect" as const), tenant: text, user: text, tokenId: text, reason: text }),
);

test("The bus codec decodes what it has encoded", () => {
  fc.assert(
    fc.property(fc.array(notice, { maxLength: 5 }), fc.nat(), seq, (notices, shard, n) => {
      const decoded = decodeNotices(encodeNotices({ node: "a", shard, n }, notices));
      expect(decoded).toMatchObject({ node: "a", shard, n });
      expect(decoded.notices()).toEqual(notices);
    }),
  );
  const heartbeat = { node: "a", leaves: true, sent: [0, 1, 2 ** 40] };
  expect(decodeHeartbeat(encodeHeartbeat(heartbeat))).toEqual(heartbeat);
});

test("The bus codec rejects messages that are cut, damaged or of another version, without using time or memory", () => {
  fc.assert(
    fc.property(fc.array(notice, { maxLength: 5 }), fc.nat(), fc.nat({ max: 255 }), (notices, position, value) => {
      const bytes = encodeNotices({ node: "a", shard: 1, n: 1 }, notices);
      const cut = bytes.subarray(0, position % bytes.length);
      expect(() => decodeNotices(cut).notices()).toThrow();
      const changed = Buffer.from(bytes);
      changed[position % bytes.length] = value;
      try {
        decodeNotices(changed).notices();
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }),
  );
  expect(() => decodeNotices(Uint8Array.of(2))).toThrow("version 2");
  expect(() => decodeHeartbeat(Uint8Array.of(1, 0, 0, 255, 255, 255, 255, 15))).toThrow();
});
