import { randomUUID } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { Kind, MessageSchema } from "../../gen/tidings/v1/message_pb.ts";
import { Ring } from "../../src/feeds/ring.ts";
import { envelopedIn, type Format, webSocketJson, webSocketProto } from "../../src/wire/formats.ts";
import { MessageFrame } from "../../src/wire/frame.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Bytes of all objects of this process and of the buffers outside of V8's heap. */
function held(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The body of a message whose JSON payload takes many times its bytes when it is decoded. */
function body(content: string): Uint8Array {
  const message = create(MessageSchema, {
    id: randomUUID(),
    kind: Kind.NOTIFICATION,
    category: `operation ${randomUUID()}`,
    title: "Bob assigned you a task",
    content,
    event: `assigned ${randomUUID()}`,
    receiverId: randomUUID(),
    actor: { id: randomUUID(), name: "Bob" },
    publishTime: timestampNow(),
    payload: {
      case: "json",
      value: { kind: { case: "listValue", value: { values: Array.from({ length: 50 }, () => ({ kind: nothing })) } } },
    },
  });
  return toBinary(MessageSchema, message);
}

const nothing = { case: "nullValue" as const, value: 0 as const };
const formats = [
  webSocketProto,
  webSocketJson,
  envelopedIn("proto").plain,
  envelopedIn("proto").chunked,
  envelopedIn("json").plain,
];
const count = 400;

/** Makes frames as the hub does, lets streams send them, and returns the rings that hold them. */
function fill(length: number, encodings: readonly Format[]): Ring[] {
  const rings: Ring[] = [];
  for (let index = 0; index < count; index++) {
    // Few enough that no ring drops any.
    if (index % 4 === 0) rings.push(new Ring());
    const ring = rings.at(-1) as Ring;
    const id = randomUUID();
    const position = { feed: `room/${id}`, epoch: 1_000_000_000, seq: String(index + 1) };
    const frame = new MessageFrame(body("x".repeat(length)), index, { id, seq: index + 1, position });
    ring.push(frame);
    // What a filter, an alert and a write ask for.
    expect(frame.summary.kind).toBe(Kind.NOTIFICATION);
    for (const form of [frame, frame.alerting]) {
      expect(form.alone).toHaveLength(1);
      for (const format of encodings) form.encoded(format);
    }
    ring.settle();
  }
  return rings;
}

describe("A ring counts the memory that its frames hold", () => {
  test.each([
    ["with small messages", 50, []],
    ["with small messages in one format", 50, [webSocketProto]],
    ["with small messages in all formats", 50, formats],
    ["with large messages", 10_000, []],
    ["with large messages in all formats", 10_000, formats],
  ] as const)("%s", (_, length, encodings) => {
    // Compiles the code, which would be counted otherwise.
    fill(length, encodings);
    const before = held();
    const rings = fill(length, encodings);
    const measured = (held() - before) / count;
    const counted = rings.reduce((sum, { bytes }) => sum + bytes, 0) / count;
    expect(rings.reduce((sum, ring) => sum + ring.end - ring.first, 0)).toBe(count);
    expect(counted / measured).toBeGreaterThan(0.9);
    expect(counted / measured).toBeLessThan(1.6);
  });
});
