/** Publishing with retries, in fake time. */
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  PublishBatchResponseSchema,
  PublishRequestSchema,
  type PublishResponse,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import { publishAll, splitBatch, withRequestId } from "../../../src/client/calls/publish.ts";
import { withRetries } from "../../../src/client/calls/retry.ts";
import type { PublishInit } from "../../../src/client/codec/proto.ts";
import { type ErrorCode, TidingsError } from "../../../src/client/tidings-error.ts";
import { FakeClock } from "../fake-clock.ts";

const clock = new FakeClock();
const closing = new AbortController();
const context = { clock, random: { fraction: () => 0.5 }, signal: closing.signal };
const draft = (userId: string, fields: object = {}): PublishInit => ({
  audience: { to: { case: "userId", value: userId } },
  ...fields,
});
const refused = (code: ErrorCode, extras: object = {}) => new TidingsError(code, "no", extras);

/** Makes a call that fails with these errors before it succeeds; returns its result and the times of its attempts. */
async function callFailing(errors: readonly TidingsError[], options: object = {}) {
  const start = clock.now();
  const attempts: number[] = [];
  const result = withRetries(context, options, async () => {
    const error = errors[attempts.length];
    attempts.push(clock.now() - start);
    if (error !== undefined) throw error;
    return "done";
  }).catch((error: unknown) => error);
  await clock.advance(0);
  await clock.advance(120_000);
  return { result: await result, attempts };
}

describe("A call with retries", () => {
  test("is repeated with the back-off, or as late as the server asks", async () => {
    const errors = [
      refused("unavailable"),
      refused("canceled"),
      refused("resource_exhausted", { retryAfterMs: 3_000 }),
    ];
    expect(await callFailing(errors)).toEqual({ result: "done", attempts: [0, 250, 750, 4_000] });
  });

  test.each([
    ["invalid_argument", {}],
    ["resource_exhausted", { reason: "QUOTA_EXCEEDED", retryAfterMs: 10 }],
    ["permission_denied", {}],
  ] as const)("is not repeated after %s %o", async (code, extras) => {
    const { result, attempts } = await callFailing([refused(code, extras)]);
    expect(result).toMatchObject({ code });
    expect(attempts).toEqual([0]);
  });

  test("throws the last error when its deadline leaves no time for another attempt", async () => {
    const errors = Array.from({ length: 100 }, () => refused("unavailable", { reason: "STORE_UNAVAILABLE" }));
    const { result, attempts } = await callFailing(errors, { timeoutMs: 5_000 });
    expect(result).toMatchObject({ reason: "STORE_UNAVAILABLE" });
    expect(attempts).toEqual([0, 250, 750, 1_750, 3_750]);
  });

  test("ends its wait when it is canceled, and leaves no timer", async () => {
    const canceling = new AbortController();
    const error = refused("unavailable", { retryAfterMs: 10_000 });
    const call = withRetries(context, { signal: canceling.signal }, () => Promise.reject(error));
    const ended = call.catch((thrown: unknown) => thrown);
    await clock.advance(100);
    expect(clock.pending).toHaveLength(1);
    canceling.abort();
    expect(await ended).toBe(error);
    expect(clock.pending).toEqual([]);
  });

  test("refuses an unknown option before the first attempt", async () => {
    const attempt = () => Promise.reject(new Error("not reached"));
    await expect(withRetries(context, { timeout: 3 } as object, attempt)).rejects.toThrow(/options.*timeout/);
  });
});

describe("A request to publish", () => {
  test("gets a random request id, and keeps its own", () => {
    const [first, second] = [withRequestId(draft("ada")), withRequestId(draft("ada"))];
    expect(first.requestId).toMatch(/^[0-9a-f]{32}$/);
    expect(first.requestId).not.toBe(second.requestId);
    expect(withRequestId(draft("ada", { requestId: "mine" })).requestId).toBe("mine");
  });

  test("gets one as a message of Protobuf, too, which itself stays as it is", () => {
    const message = create(PublishRequestSchema, draft("ada", { tenantId: "acme" }));
    const sent = create(PublishRequestSchema, withRequestId(message));
    expect(sent).toMatchObject({ tenantId: "acme", audience: { to: { value: "ada" } } });
    expect(sent.requestId).not.toBe("");
    expect(message.requestId).toBe("");
  });

  test("gets none if it is to replace a message that it does not name", () => {
    expect(withRequestId(draft("ada", { replace: true })).requestId).toBeUndefined();
  });
});

describe("A batch", () => {
  /** An outcome for each request: an error that is queued for its user, or else its request id as the message id. */
  function server(errors: Record<string, ErrorCode[]>) {
    const calls: string[][] = [];
    const send = async (requests: readonly PublishInit[]) => {
      const users = requests.map(({ audience }) => String(audience?.to?.value));
      calls.push(users);
      return create(PublishBatchResponseSchema, {
        outcomes: requests.map(({ requestId = "" }, at) => {
          const code = errors[users[at] ?? ""]?.shift();
          return code
            ? { result: { case: "error" as const, value: { code, reason: "R", message: "no" } } }
            : { result: { case: "ok" as const, value: { messageId: requestId } } };
        }),
      });
    };
    return { calls, send };
  }

  test("repeats only the messages that fail for now, with their request ids", async () => {
    const { calls, send } = server({ bob: ["unavailable", "aborted"], cyd: ["invalid_argument"] });
    const requests = ["ada", "bob", "cyd"].map((user) => draft(user, { requestId: `of-${user}` }));
    const result = publishAll(context, {}, requests, send);
    await clock.advance(0);
    await clock.advance(10_000);
    const outcomes = await result;
    expect(calls).toEqual([["ada", "bob", "cyd"], ["bob"], ["bob"]]);
    expect(outcomes.map(({ result: { value } }) => (value as PublishResponse).messageId)).toEqual([
      "of-ada",
      "of-bob",
      undefined,
    ]);
    expect(outcomes[2]?.result).toMatchObject({ case: "error", value: { code: "invalid_argument" } });
  });

  test("answers with the outcomes so far when its deadline passes", async () => {
    const { send } = server({ bob: Array.from({ length: 100 }, () => "unavailable" as const) });
    const result = publishAll(context, { timeoutMs: 2_000 }, [draft("ada"), draft("bob")], send);
    await clock.advance(0);
    await clock.advance(10_000);
    expect((await result).map(({ result: { case: name } }) => name)).toEqual(["ok", "error"]);
  });

  test("rejects with the error of its call", async () => {
    const error = refused("permission_denied", { reason: "ROLE_FORBIDDEN" });
    await expect(publishAll(context, {}, [draft("ada")], () => Promise.reject(error))).rejects.toBe(error);
  });

  test("is split at 1,000 messages and at 1 MiB, and has a request id for each", () => {
    const small = Array.from({ length: 2_001 }, () => draft("ada"));
    const large = Array.from({ length: 20 }, () => draft("ada", { message: { content: "x".repeat(100_000) } }));
    const calls = splitBatch([...small, ...large]);
    expect(calls.map((call) => call.length)).toEqual([1_000, 1_000, 11, 10]);
    const ids = new Set(calls.flat().map(({ requestId }) => requestId));
    expect(ids.size).toBe(2_021);
    expect(splitBatch([])).toEqual([[]]);
  });
});
