import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { PositionSchema } from "../../gen/tidings/v1/message_pb.ts";
import { StartPositions } from "../../src/stream/start-positions.ts";
import { reasonFrom } from "../support/core.ts";

function positions(...feeds: string[]): StartPositions {
  return new StartPositions(feeds.map((feed, index) => create(PositionSchema, { feed, seq: String(index) })));
}

describe("StartPositions", () => {
  test("finds the position of a feed, and of a direct room however its id is written", () => {
    const given = positions("user", "room/dm/b/a%2f1", "room/x");
    expect(given.get("user")?.field).toBe("positions[0]");
    expect(given.get("room/dm/a%2F1/b")?.position.seq).toBe("1");
    expect(given.get("room/x")?.field).toBe("positions[2]");
    expect(given.get("tenant")).toBeUndefined();
    expect(() => given.check(() => true)).not.toThrow();
  });

  test("refuses two of one feed, also when they are written differently", async () => {
    for (const given of [positions("user", "user"), positions("room/dm/a/b", "tenant", "room/dm/b/a")]) {
      expect(await reasonFrom(() => given.check(() => true))).toBe("POSITION_INVALID");
      expect(() => given.check(() => true)).toThrow("positions: give one position per feed");
    }
  });

  test("refuses a feed that is not followed, with its place", () => {
    const given = positions("user", "room/a", "room/b");
    expect(() => given.check((feed) => feed !== "room/b")).toThrow("positions[2].feed:");
  });
});
