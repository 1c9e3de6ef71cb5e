import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { PublishBatchResponseSchema, type PublishRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import { reasonOf } from "../../src/errors.ts";
import { checkBatchSize, entriesOf, maxAnswerBytes, slices } from "../../src/publish/batch-size.ts";
import { publishRequest, toTenant, toUser, toUsers } from "../support/core.ts";

function reasonFor(requests: readonly PublishRequest[], most: number, codec: "proto" | "json"): string | undefined {
  try {
    checkBatchSize(requests, most, codec);
    return undefined;
  } catch (error) {
    return reasonOf(error as ConnectError);
  }
}

test("A batch is bounded by the inbox entries that it makes", () => {
  const requests = [publishRequest(toUsers("a", "b", "c")), publishRequest(toUser("a")), publishRequest(toTenant)];
  expect(requests.map(entriesOf)).toEqual([3, 1, 1]);
  expect(reasonFor(requests, 5, "proto")).toBeUndefined();
  expect(reasonFor(requests, 4, "proto")).toBe("REQUEST_TOO_LARGE");
});

test.each(["proto", "json"] as const)("A batch that passes has an answer within the limit, in %s", (codec) => {
  for (const letter of ["a", '"', "\\", "ü", "😀"]) {
    const id = letter.repeat(128);
    const userIds = Array.from({ length: 10_000 }, () => id);
    for (const count of [1, 2, 3, 5, 9]) {
      const requests = Array.from({ length: count }, () => publishRequest(toUsers(...userIds)));
      if (reasonFor(requests, 1e9, codec) !== undefined) break;
      const receipt = { userId: id, stored: true, online: true, connections: 4_000_000_000 };
      const ok = {
        messageId: "x".repeat(36),
        publishTime: timestampFromMs(1.7e12 + 1),
        duplicate: true,
        receipts: userIds.map(() => receipt),
        onlineUsers: 4_000_000_000,
      };
      const outcomes = Array.from({ length: count }, () => ({ result: { case: "ok" as const, value: ok } }));
      const answer = create(PublishBatchResponseSchema, { outcomes });
      const bytes =
        codec === "json"
          ? Buffer.byteLength(toJsonString(PublishBatchResponseSchema, answer))
          : toBinary(PublishBatchResponseSchema, answer).length;
      expect(bytes).toBeLessThanOrEqual(maxAnswerBytes);
    }
  }
});

test("Slices keep the order, and an item that is larger than a slice has its own", () => {
  const cut = (sizes: number[]) => [...slices(sizes, (size) => size)];
  expect(cut([])).toEqual([]);
  expect(cut([1, 2, 3])).toEqual([[1, 2, 3]]);
  expect(cut([1500, 600, 9000, 0, 1, 1999])).toEqual([[1500], [600], [9000], [0, 1, 1999]]);
});
