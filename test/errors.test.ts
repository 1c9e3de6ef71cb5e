import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { errorTable, fail, type Reason, reasonOf, webSocketCloseCode } from "../src/errors.ts";

const reasons = Object.keys(errorTable) as Reason[];

/** The details of an error. */
function detail(error: ConnectError) {
  const [info] = error.findDetails(ErrorInfoSchema);
  const [badRequest] = error.findDetails(BadRequestSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  return { info, badRequest, retry };
}

describe("An error", () => {
  test.each(reasons)("with the reason %s has the code of the table, its reason and the domain", (reason) => {
    const error = fail(reason, "a sentence");
    expect(error.code).toBe(errorTable[reason].code);
    expect(error.rawMessage).toBe("a sentence");
    expect(reasonOf(error)).toBe(reason);
    expect(detail(error).info).toMatchObject({ reason, domain: "tidings", metadata: {} });
    expect(detail(error).badRequest).toBeUndefined();
    expect(detail(error).retry).toBeUndefined();
  });

  test("names the field in its sentence, in ErrorInfo and in BadRequest", () => {
    const error = fail("FIELD_INVALID", "must be short", { field: "message.url", metadata: { limit: "7" } });
    expect(error.rawMessage).toBe("message.url: must be short");
    expect(detail(error).info?.metadata).toEqual({ limit: "7", field: "message.url" });
    const violation = { field: "message.url", description: "must be short", reason: "FIELD_INVALID" };
    expect(detail(error).badRequest?.fieldViolations).toMatchObject([violation]);
  });

  test("names further invalid fields in BadRequest only", () => {
    const violations = [{ field: "b", description: "too" }];
    const error = fail("FIELD_INVALID", "bad", { field: "a", violations });
    expect(detail(error).badRequest?.fieldViolations.map(({ field }) => field)).toEqual(["a", "b"]);
    expect(detail(error).info?.metadata).toEqual({ field: "a" });
  });

  test.each([
    [0, 0n, 0],
    [100, 0n, 100_000_000],
    [1000, 1n, 0],
    [90_001, 90n, 1_000_000],
  ])("has its delay of %d ms in RetryInfo", (retryAfterMs, seconds, nanos) => {
    expect(detail(fail("OVERLOADED", "later", { retryAfterMs })).retry?.retryDelay).toMatchObject({ seconds, nanos });
  });

  test("keeps its cause, and does not reveal it", () => {
    const cause = new Error("the inside");
    const error = fail("STORE_UNAVAILABLE", "later", { cause });
    expect(error.cause).toBe(cause);
    expect(error.message).not.toContain("inside");
    expect(detail(error).info?.metadata).toEqual({});
    expect(error.details).toHaveLength(1);
  });

  test("that is not of the table has no reason", () => {
    expect(reasonOf(new ConnectError("x", Code.Internal))).toBeUndefined();
    const other = { desc: BadRequestSchema, value: { fieldViolations: [] } };
    expect(reasonOf(new ConnectError("x", Code.Internal, undefined, [other]))).toBeUndefined();
    const foreign = { desc: ErrorInfoSchema, value: { reason: "TOKEN_EXPIRED", domain: "example.com" } };
    expect(reasonOf(new ConnectError("x", Code.Internal, undefined, [foreign]))).toBeUndefined();
  });

  test.each(reasons)("with the reason %s closes a WebSocket with a code of the private range", (reason) => {
    const code = webSocketCloseCode(fail(reason, "x"));
    expect(code).toBe(4000 + errorTable[reason].code);
    expect(code).toBeGreaterThanOrEqual(4001);
    expect(code).toBeLessThanOrEqual(4016);
  });
});
