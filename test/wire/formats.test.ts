import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { create, fromBinary, fromJsonString, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { MessageSchema } from "../../gen/tidings/v1/message_pb.ts";
import { SubscribeResponseSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { envelopedIn } from "../../src/wire/formats.ts";
import { MessageFrame } from "../../src/wire/frame.ts";

const position = { feed: "tenant", epoch: 1, seq: "1" };

function frameOf(content: string): MessageFrame {
  const body = toBinary(MessageSchema, create(MessageSchema, { content }));
  return new MessageFrame(body, Number.POSITIVE_INFINITY, { id: "id", seq: 1, position });
}

/** The flags and the message of an envelope, whose length must be right. */
function open(bytes: Buffer): { flag: number; payload: Buffer } {
  expect(bytes.readUInt32BE(1)).toBe(bytes.length - 5);
  return { flag: bytes[0] as number, payload: bytes.subarray(5) };
}

function contentOf(codec: "proto" | "json", payload: Buffer): string {
  const { event } =
    codec === "json"
      ? fromJsonString(SubscribeResponseSchema, payload.toString())
      : fromBinary(SubscribeResponseSchema, payload);
  return event.case === "message" ? event.value.content : "";
}

const unpack = { gzip: gunzipSync, br: brotliDecompressSync };
const large = "tidings ".repeat(500);

describe.each(["proto", "json"] as const)("An envelope of %s", (codec) => {
  test.each(["gzip", "br"] as const)("compresses a large message by %s, once for all streams", (encoding) => {
    const frame = frameOf(large);
    const { plain } = envelopedIn(codec, encoding);
    const { flag, payload } = open(frame.encoded(plain));
    expect(flag).toBe(1);
    expect(payload.length).toBeLessThan(500);
    expect(contentOf(codec, unpack[encoding](payload))).toBe(large);
    expect(frame.encoded(plain)).toBe(frame.encoded(plain));
  });

  test.each(["gzip", "br", "identity", undefined])(
    "leaves a small message uncompressed, in the encoding %s",
    (encoding) => {
      const { flag, payload } = open(frameOf("hello").encoded(envelopedIn(codec, encoding).plain));
      expect([flag, contentOf(codec, payload)]).toEqual([0, "hello"]);
    },
  );

  test.each(["identity", "unheard-of", undefined])(
    "leaves a large message uncompressed, in the encoding %s",
    (encoding) => {
      const { flag, payload } = open(frameOf(large).encoded(envelopedIn(codec, encoding).plain));
      expect([flag, contentOf(codec, payload)]).toEqual([0, large]);
    },
  );

  test.each(["gzip", "br", "identity"])("is the same within a chunk, in the encoding %s", (encoding) => {
    const { plain, chunked } = envelopedIn(codec, encoding);
    const frame = frameOf(large);
    const bytes = frame.encoded(plain);
    const expected = Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
    expect(frame.encoded(chunked)).toEqual(expected);
  });
});
