/** Publishing: retries that never publish twice, errors that are final, and batches. */
import type { ConnectError } from "@connectrpc/connect";
import type { PublishRequest } from "../../../../gen/tidings/v1/push_service_pb.ts";
import { fail, type Reason } from "../../../errors.ts";
import { proxyPage } from "../exchange.ts";
import type { Line } from "../program.ts";
import { Failed, type Scenario, type Stage } from "../stage.ts";

/** A request to publish, in Protobuf's JSON. */
function draft(title: string, fields: object = {}): object {
  return { audience: { userId: "ada" }, message: { kind: "KIND_NOTIFICATION", title }, ...fields };
}

/** The answer to a command with an id: a line of this type. */
async function answerTo(stage: Stage, id: string, type: string): Promise<Line> {
  const find = () => stage.lines(type).find((line) => line.id === id);
  return stage.until(find, `the line ${type} with the id ${id}`);
}

/** The error of a command with an id. */
async function errorOf(stage: Stage, id: string): Promise<Line> {
  return stage.until(() => stage.lines("error").find((line) => line.id === id), `an error of the call ${id}`);
}

function requireSameId(seen: PublishRequest, first: PublishRequest): void {
  if (seen.requestId === first.requestId) return;
  const expected = `the request_id "${first.requestId}" was expected for every attempt`;
  throw new Failed(`${expected}; another one had "${seen.requestId}"`);
}

const retry: Scenario = {
  name: "publish-retry",
  group: "publisher",
  rule: 11,
  sentence:
    "A publish without request_id gets a random one, and every retry has the same one: after an error, and after no answer.",
  async run(stage) {
    stage.send({ type: "publish", id: "1", request: draft("one") });
    const first = await stage.call("publish");
    stage.require(first.request.requestId !== "", "a random request_id was expected; the request had none");
    // The server may have stored it: only the id keeps it from being published twice.
    first.reset();
    const second = await stage.call("publish", "another attempt after a connection that broke");
    requireSameId(second.request, first.request);
    stage.require(second.request.message?.title === "one", "the same message was expected at the second attempt");
    second.fail(fail("STORE_UNAVAILABLE", "the store is away"));
    const third = await stage.call("publish", "another attempt after unavailable");
    requireSameId(third.request, first.request);
    third.reply({ messageId: "m1", duplicate: true });
    const line = await answerTo(stage, "1", "published");
    const isRight = line.messageId === "m1" && line.duplicate === true;
    stage.require(isRight, `m1, a duplicate, was expected; it was ${line.messageId}, ${line.duplicate}`);
    stage.send({ type: "publish", id: "2", request: draft("two") });
    const other = await stage.call("publish");
    stage.require(other.request.requestId !== first.request.requestId, "another random request_id was expected");
    other.reply({ messageId: "m2" });
    await answerTo(stage, "2", "published");
  },
};

const ownId: Scenario = {
  name: "publish-request-id",
  group: "publisher",
  rule: 11,
  sentence: "A request_id of the application is kept; aborted and deadline_exceeded are retried, too.",
  async run(stage) {
    stage.send({ type: "publish", id: "1", request: draft("one", { requestId: "order-7" }) });
    const errors = [fail("CONFLICT", "another call came first"), fail("DEADLINE_EXCEEDED", "the server took too long")];
    for (const error of errors) {
      const call = await stage.call("publish");
      stage.require(
        call.request.requestId === "order-7",
        `the request_id order-7 was expected; it was ${call.request.requestId}`,
      );
      call.fail(error);
    }
    const last = await stage.call("publish", "another attempt after deadline_exceeded");
    stage.require(last.request.requestId === "order-7", "the request_id order-7 was expected at the last attempt");
    last.reply({ messageId: "m1" });
    await answerTo(stage, "1", "published");
  },
};

const proxies: Scenario = {
  name: "publish-proxy",
  group: "publisher",
  rule: 11,
  sentence: "502 and 503 of a proxy are retried, with the same request_id.",
  async run(stage) {
    const waiting = [502, 503];
    stage.server.proxy = () => {
      const status = waiting.shift();
      return status === undefined ? undefined : proxyPage(status);
    };
    stage.send({ type: "publish", id: "1", request: draft("one") });
    const call = await stage.call("publish", "an attempt behind a proxy that has answered 502 and 503");
    stage.require(call.request.requestId !== "", "a request_id was expected");
    call.reply({ messageId: "m1" });
    await answerTo(stage, "1", "published");
  },
};

const retryInfo: Scenario = {
  name: "publish-retry-info",
  group: "publisher",
  rule: 11,
  sentence: "After RATE_LIMITED with RetryInfo a publish waits at least that long.",
  async run(stage) {
    stage.send({ type: "publish", id: "1", request: draft("one") });
    const first = await stage.call("publish");
    const since = stage.now;
    first.fail(fail("RATE_LIMITED", "too many messages", { retryAfterMs: 1_500 }));
    const second = await stage.call("publish", "another attempt, 1.5 to 2 s after RetryInfo");
    stage.requireNotBefore(second.at, since, 1_500, "a wait of 1.5 s was expected after RetryInfo of 1.5 s");
    requireSameId(second.request, first.request);
    second.reply({ messageId: "m1" });
    await answerTo(stage, "1", "published");
  },
};

/** Errors that end a publish, with the parts that the application has to get. */
const finalErrors: readonly { error: ConnectError; reason: Reason; code: string; field: string }[] = [
  {
    error: fail("FIELD_INVALID", "is too long", { field: "message.title" }),
    reason: "FIELD_INVALID",
    code: "invalid_argument",
    field: "message.title",
  },
  { error: fail("ROLE_FORBIDDEN", "users may not"), reason: "ROLE_FORBIDDEN", code: "permission_denied", field: "" },
  // Full quotas stay full for hours, whatever their RetryInfo says.
  {
    error: fail("QUOTA_EXCEEDED", "the tenant is full", { retryAfterMs: 600 }),
    reason: "QUOTA_EXCEEDED",
    code: "resource_exhausted",
    field: "",
  },
  { error: fail("REQUEST_ID_REUSED", "other content"), reason: "REQUEST_ID_REUSED", code: "already_exists", field: "" },
  { error: fail("MESSAGE_TOO_LARGE", "64 KiB"), reason: "MESSAGE_TOO_LARGE", code: "resource_exhausted", field: "" },
];

const final: Scenario = {
  name: "publish-final",
  group: "publisher",
  rule: 11,
  sentence:
    "Other errors, QUOTA_EXCEEDED among them, end the publish at once: one attempt, one error with code, reason and field.",
  async run(stage) {
    stage.expectsErrors = true;
    for (const { error, reason, code, field } of finalErrors) {
      stage.send({ type: "publish", id: reason, request: draft(reason) });
      (await stage.call("publish")).fail(error);
      const line = await errorOf(stage, reason);
      const seen = `${line.code} ${line.reason} ${line.field ?? ""}`.trim();
      const expected = `${code} ${reason} ${field}`.trim();
      stage.require(seen === expected, `the error ${expected} was expected; it was ${seen}`);
    }
    await stage.never(() => stage.server.takeCall("publish"), 1_500, "no further attempt was expected; one came");
    const { length } = stage.lines("error");
    stage.require(length === finalErrors.length, `one error for each call was expected; there were ${length}`);
  },
};

const token: Scenario = {
  name: "publish-token",
  group: "publisher",
  rule: 8,
  sentence: "A publish whose token is refused is repeated once, with a fresh token and the same request_id.",
  async run(stage) {
    stage.expectsErrors = true;
    stage.send({ type: "publish", id: "1", request: draft("one") });
    const first = await stage.call("publish");
    first.fail(fail("TOKEN_EXPIRED", "the token has expired"));
    const second = await stage.call("publish", "another attempt with a fresh token");
    requireSameId(second.request, first.request);
    stage.require(
      stage.server.tokens.at(-1)?.refresh === true,
      "a call of the token function with refresh was expected",
    );
    stage.require(second.token !== first.token, "the fresh token was expected at the second attempt");
    second.fail(fail("TOKEN_EXPIRED", "the token has expired"));
    const line = await errorOf(stage, "1");
    stage.require(line.code === "unauthenticated", `unauthenticated was expected; it was ${line.code}`);
    await stage.never(() => stage.server.takeCall("publish"), 1_000, "no third attempt was expected; one came");
  },
};

const attempts: Scenario = {
  name: "publish-backoff",
  group: "publisher",
  rule: 11,
  sentence: "A publish that fails again and again is retried with growing delays, and ends with its deadline of 30 s.",
  slow: true,
  async run(stage) {
    stage.expectsErrors = true;
    stage.send({ type: "publish", id: "1", request: draft("one") });
    const since = stage.now;
    let count = 0;
    for (;;) {
      const call = await stage.until(
        () =>
          stage.server.takeCall("publish") ?? (stage.lines("error").some(({ id }) => id === "1") ? null : undefined),
        "another attempt, or an error of the call after 30 s",
        since + 60_000 - stage.now,
      );
      if (call === null) break;
      call.fail(fail("OVERLOADED", "the server is busy"));
      count++;
      stage.require(count <= 20, "at most 20 attempts were expected in 30 s; there were more");
    }
    stage.require(count >= 2, `retries were expected; there was ${count} attempt`);
    const seconds = (stage.now - since) / 1000;
    stage.require(seconds < 60, `an error after 30 s was expected; it came after ${Math.round(seconds)} s`);
    const line = await errorOf(stage, "1");
    const isRight = line.code === "unavailable" || line.code === "deadline_exceeded";
    stage.require(isRight, `unavailable or deadline_exceeded was expected; it was ${line.code}`);
  },
};

/** The lines about the items of a batch, by their index. Throws a Failed for an item with two outcomes. */
function outcomesOf(stage: Stage): Map<number, Line> {
  const found = new Map<number, Line>();
  for (const line of stage.lines("outcome")) {
    const index = Number(line.index);
    if (found.has(index)) throw new Failed(`one outcome for item ${index} was expected; there were two`);
    found.set(index, line);
  }
  return found;
}

async function outcomes(stage: Stage, count: number): Promise<Map<number, Line>> {
  await stage.until(() => (stage.lines("outcome").length >= count ? true : undefined), `${count} outcomes`, 60_000);
  return outcomesOf(stage);
}

const partial: Scenario = {
  name: "batch-partial",
  group: "publisher",
  rule: 11,
  sentence:
    "Of a batch, only the items that may succeed later are repeated, with their request_ids; each item has one outcome.",
  async run(stage) {
    const titles = ["stored", "invalid", "busy", "quota", "stored too"];
    stage.send({ type: "publishBatch", id: "b", requests: titles.map((title) => draft(title)) });
    const first = await stage.call("publishBatch");
    const { requests } = first.request;
    stage.require(requests.length === 5, `5 items were expected in one request; there were ${requests.length}`);
    const ids = requests.map(({ requestId }) => requestId);
    stage.require(
      new Set(ids).size === 5 && !ids.includes(""),
      "a random request_id of its own was expected for each item",
    );
    const error = (code: string, reason: string) =>
      ({ result: { case: "error", value: { code, reason, message: "a sentence" } } }) as const;
    const ok = (messageId: string) => ({ result: { case: "ok", value: { messageId } } }) as const;
    first.reply({
      outcomes: [
        ok("m0"),
        error("invalid_argument", "FIELD_INVALID"),
        error("unavailable", "STORE_UNAVAILABLE"),
        error("resource_exhausted", "QUOTA_EXCEEDED"),
        ok("m4"),
      ],
    });
    const second = await stage.call("publishBatch", "the item that failed with unavailable again");
    const again = second.request.requests.map(({ requestId }) => requestId);
    const same = again.length === 1 && again[0] === ids[2];
    stage.require(same, `item 2 alone was expected again, with its request_id; the request had ${again.length} items`);
    second.reply({ outcomes: [ok("m2")] });
    const found = await outcomes(stage, 5);
    const seen = titles.map((_, index) => {
      const line = found.get(index);
      const problem = line?.error as { code?: unknown; reason?: unknown } | undefined;
      return line?.messageId ?? `${problem?.code} ${problem?.reason}`;
    });
    const expected = ["m0", "invalid_argument FIELD_INVALID", "m2", "resource_exhausted QUOTA_EXCEEDED", "m4"];
    stage.require(seen.join() === expected.join(), `the outcomes ${expected} were expected; they were ${seen}`);
  },
};

const wholeBatch: Scenario = {
  name: "batch-retry",
  group: "publisher",
  rule: 11,
  sentence: "A batch without an answer is repeated as it was, with the same request_ids.",
  async run(stage) {
    stage.send({ type: "publishBatch", id: "b", requests: ["one", "two"].map((title) => draft(title)) });
    const first = await stage.call("publishBatch");
    first.reset();
    const second = await stage.call("publishBatch", "the batch again after a connection that broke");
    const idsOf = (requests: readonly PublishRequest[]) => requests.map(({ requestId }) => requestId).join();
    const same = idsOf(first.request.requests) === idsOf(second.request.requests);
    stage.require(same, "the same request_ids were expected; the repeated batch had others");
    second.reply({
      outcomes: [0, 1].map((index) => ({ result: { case: "ok", value: { messageId: `m${index}`, duplicate: true } } })),
    });
    await outcomes(stage, 2);
  },
};

const batchLimits: Scenario = {
  name: "batch-limits",
  group: "publisher",
  rule: 11,
  sentence: "A long batch is sent in requests of at most 1,000 items and about 1 MiB each.",
  async run(stage) {
    const count = 2_300;
    const content = "x".repeat(1_500);
    const requests = Array.from({ length: count }, (_, index) => {
      // The last ones are large: 200 of them are 3 MiB.
      return { audience: { userId: "ada" }, message: { kind: 3, content: index < 2_100 ? "" : content.repeat(10) } };
    });
    stage.send({ type: "publishBatch", id: "b", requests });
    let taken = 0;
    while (taken < count) {
      const call = await stage.call("publishBatch", `a request with the items from ${taken}`);
      const items = call.request.requests;
      stage.require(items.length <= 1_000, `at most 1,000 items in a request were expected; one had ${items.length}`);
      const bytes = items.reduce((sum, { message }) => sum + (message?.content.length ?? 0), 0);
      const most = 1.5 * 1024 * 1024;
      stage.require(bytes <= most, `requests of about 1 MiB were expected; one had ${bytes} bytes of content`);
      taken += items.length;
      call.reply({
        outcomes: items.map(({ requestId }) => ({ result: { case: "ok", value: { messageId: requestId } } })),
      });
    }
    const found = await outcomes(stage, count);
    stage.require(found.size === count, `${count} outcomes were expected; there were ${found.size}`);
  },
};

/** The scenarios of this file. */
export const publishScenarios: readonly Scenario[] = [
  retry,
  ownId,
  proxies,
  retryInfo,
  final,
  token,
  attempts,
  partial,
  wholeBatch,
  batchLimits,
];
