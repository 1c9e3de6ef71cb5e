import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import {
  errorFromClose,
  errorFromConnect,
  errorFromJson,
  errorFromResponse,
} from "../../../src/client/calls/wire-error.ts";
import { fail } from "../../../src/errors.ts";

test("Every code of Connect keeps its name", () => {
  for (const code of Object.values(Code).filter((value) => typeof value === "number")) {
    const json = errorToJson(new ConnectError("x", code), undefined);
    expect(errorFromJson(json)?.code).toBe((json as { code: string }).code);
    expect(errorFromConnect(new ConnectError("x", code)).code).toBe((json as { code: string }).code);
    expect(errorFromClose(4000 + code, "").code).toBe((json as { code: string }).code);
  }
});

test("An error in JSON keeps its reason and its RetryInfo", () => {
  fc.assert(
    fc.property(fc.nat(10_000_000), (retryAfterMs) => {
      const json = errorToJson(fail("OVERLOADED", "later", { retryAfterMs, field: "message.url" }), undefined);
      const error = errorFromJson(JSON.parse(JSON.stringify(json)));
      expect(error).toMatchObject({
        code: "unavailable",
        reason: "OVERLOADED",
        retryAfterMs,
        message: "message.url: later",
        field: "message.url",
      });
    }),
  );
});

test("The ErrorInfo of another service gives no reason, and hides none", () => {
  const value = create(ErrorInfoSchema, {
    reason: "API_DISABLED",
    domain: "gateway.example",
    metadata: { field: "x" },
  });
  const foreign = new ConnectError("no", Code.PermissionDenied, undefined, [{ desc: ErrorInfoSchema, value }]);
  expect(errorFromJson(errorToJson(foreign, undefined))).not.toHaveProperty("reason");
  const own = fail("FIELD_INVALID", "is too long", { field: "message.url" });
  own.details.push(...foreign.details);
  expect(errorFromJson(errorToJson(own, undefined))).toMatchObject({ reason: "FIELD_INVALID", field: "message.url" });
});

describe("The close of a WebSocket", () => {
  test("carries a code, a reason and a sentence", () => {
    expect(errorFromClose(4016, "TOKEN_EXPIRED: the token: it has expired")).toMatchObject({
      code: "unauthenticated",
      reason: "TOKEN_EXPIRED",
      message: "the token: it has expired",
    });
  });

  test.each([
    [4014, "no reason here", "unavailable", undefined, "no reason here"],
    [4008, "", "resource_exhausted", undefined, "resource_exhausted"],
    [1006, "", "unavailable", undefined, "the WebSocket closed with code 1006"],
    [1001, "going away", "unavailable", undefined, "going away"],
    [4000, "", "unavailable", undefined, "the WebSocket closed with code 4000"],
    [4017, "X: y", "unavailable", undefined, "X: y"],
  ])("with code %i and the text %j gives the error %s", (code, text, name, reason, message) => {
    const error = errorFromClose(code, text);
    expect([error.code, error.reason, error.message]).toEqual([name, reason, message]);
  });
});

test("Only a Connect error counts as an error of the server", async () => {
  const read = async (body: string, status: number) => (await errorFromResponse(new Response(body, { status }))).code;
  expect(await read('{"code":"not_found"}', 404)).toBe("not_found");
  expect(await read("<html>", 404)).toBe("unavailable");
  expect(await read('{"error":"forbidden"}', 403)).toBe("unavailable");
  expect(await read("[1]", 502)).toBe("unavailable");
  expect(await read("", 401)).toBe("unauthenticated");
});

test("Any thrown value and any detail of an error can be decoded", () => {
  fc.assert(
    fc.property(fc.anything(), (thing) => {
      expect(errorFromConnect(thing).name).toBe("TidingsError");
      errorFromJson({ code: "internal", details: [thing, { type: "google.rpc.ErrorInfo", value: thing }] });
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array(), fc.constantFrom("ErrorInfo", "RetryInfo"), (bytes, type) => {
      const value = Buffer.from(bytes).toString("base64");
      expect(errorFromJson({ code: "internal", details: [{ type: `google.rpc.${type}`, value }] })?.code).toBe(
        "internal",
      );
    }),
  );
});
