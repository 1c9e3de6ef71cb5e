/** Servers and proxies that refuse: delays, pages of proxies, tokens that are not accepted, and attempts that must not become a storm. */
import { fail } from "../../../errors.ts";
import { at, type StreamCall } from "../calls.ts";
import { proxyPage } from "../exchange.ts";
import { Failed, type Scenario, type Stage } from "../stage.ts";
import { goLive } from "./connection.ts";

const retryInfo: Scenario = {
  name: "retry-info",
  group: "subscriber",
  rule: 5,
  sentence: "After an error with RetryInfo the client waits at least that long.",
  async run(stage) {
    let stream = await stage.subscribe();
    // Before Hello, as a server that admits its clients one after another, and after it.
    for (const greet of [false, true]) {
      if (greet) await stream.hello();
      const since = stage.now;
      stream.end(fail("TOO_MANY_NEW_STREAMS", "the server is busy", { retryAfterMs: 1_500 }));
      const next = await stage.stream("another stream, 1.5 to 2 s after RetryInfo");
      stage.requireNotBefore(next.at, since, 1_500, "a wait of 1.5 s was expected after RetryInfo of 1.5 s");
      stream = next;
    }
    await stream.hello();
    const errors = stage.lines("error").filter(({ final }) => final === true);
    stage.require(errors.length === 0, "no final error was expected for resource_exhausted; one was printed");
  },
};

const noHello: Scenario = {
  name: "no-hello",
  group: "subscriber",
  rule: 3,
  sentence: "A stream without Hello is given up after 10 s, and another is opened.",
  slow: true,
  async run(stage) {
    const first = await stage.subscribe();
    const second = await stage.stream("another stream after 10 s without Hello", 25_000);
    // The client counts from its call, which may have connected for seconds before the server has the request.
    stage.requireNotBefore(second.at, first.at, 6_000, "a stream was expected to get about 10 s for its Hello");
    await stage.until(() => first.goneAt, "the stream without Hello to be dropped");
    await second.hello();
  },
};

/** Lets a proxy answer in front of the server, once for each status, and requires that the client comes back. */
async function behindProxy(stage: Stage, statuses: readonly number[], headers: Record<string, string>): Promise<void> {
  const first = await goLive(stage, 3);
  const waiting = [...statuses];
  const answered: number[] = [];
  stage.server.proxy = () => {
    const status = waiting.shift();
    if (status === undefined) return undefined;
    answered.push(status);
    return proxyPage(status, headers);
  };
  first.reset();
  const expected = `a stream behind a proxy that has answered ${statuses.join(", ")} with a page`;
  const second = await stage.stream(expected, 45_000);
  const all = answered.length === statuses.length;
  stage.require(all, `the client was expected to see ${statuses}; it came back after ${answered}`);
  stage.require(
    second.seqOf("user") === 3,
    `the position 3 was expected after the proxy; it was ${second.seqOf("user")}`,
  );
  await second.hello();
  await second.caughtUp(at("user", 3));
  await stage.line("caughtUp", "the client to be live again", 1);
}

const proxyErrors: Scenario = {
  name: "proxy-errors",
  group: "subscriber",
  rule: 6,
  sentence: "403, 404 and 502 of a proxy, which are no errors of Tidings, are retried.",
  slow: true,
  run: (stage) => behindProxy(stage, [502, 403, 404], {}),
};

const retryAfter: Scenario = {
  name: "proxy-unavailable",
  group: "subscriber",
  rule: 6,
  sentence: "503 of a proxy is retried, with a header Retry-After too.",
  run: (stage) => behindProxy(stage, [503, 503], { "retry-after": "1" }),
};

/** Attempts beyond the first that a client may make in 4 s. With the back-off of rule 4, more than this is one in 10^8. */
const mostAttempts = 12;

const backoff: Scenario = {
  name: "backoff",
  group: "subscriber",
  rule: 4,
  sentence: "While the server is down the client keeps trying, with growing delays.",
  async run(stage) {
    await goLive(stage, 3);
    stage.server.down = true;
    stage.server.cut();
    await stage.pass(4_000);
    // Two transports may be tried at each attempt.
    const most = 2 * mostAttempts;
    const { length } = stage.server.refusals;
    stage.require(length >= 1, "attempts were expected while the server was down for 4 s; there was none");
    stage.require(length <= most, `at most ${most} attempts were expected in 4 s; there were ${length}`);
    stage.server.down = false;
    const stream = await stage.stream("another stream, now that the server is back", 45_000);
    stage.require(stream.seqOf("user") === 3, "the position 3 was expected after the outage");
  },
};

/** The next stream, if it comes before a time of the monotonic clock. */
async function nextStream(stage: Stage, end: number): Promise<StreamCall | undefined> {
  try {
    return await stage.until(() => stage.server.takeStream(), "another stream", end - stage.now);
  } catch (error) {
    if (stage.now < end) throw error;
    return undefined;
  }
}

const hotLoop: Scenario = {
  name: "no-hot-loop",
  group: "subscriber",
  rule: 4,
  sentence: "A stream that ends right after its Hello is retried with growing delays, whatever ends it.",
  async run(stage) {
    let stream = await stage.subscribe();
    const end = stage.now + 4_000;
    let attempts = 0;
    for (;;) {
      await stream.hello();
      // A delay of 0 is no reason to come back at once.
      if (attempts % 2 === 0) stream.end(fail("OVERLOADED", "the server is busy", { retryAfterMs: 0 }));
      else stream.end();
      attempts++;
      const next = await nextStream(stage, end);
      if (next === undefined) break;
      stream = next;
      if (attempts > mostAttempts) break;
    }
    stage.require(
      attempts <= mostAttempts,
      `at most ${mostAttempts} streams were expected in 4 s; the client opened more`,
    );
  },
};

const tokenRefused: Scenario = {
  name: "token-refused",
  group: "subscriber",
  rule: 8,
  sentence: "A fresh token that is refused, too, is followed by a wait of at least 0.5 s, and the next one by 1 s.",
  async run(stage) {
    const first = await stage.subscribe();
    first.end(fail("TOKEN_INVALID", "the signature is wrong"));
    const second = await stage.stream("a stream with a fresh token");
    stage.require(second.token !== first.token, "a fresh token was expected after the refusal; it was the same");
    const since = stage.now;
    second.end(fail("TOKEN_INVALID", "the signature is wrong"));
    await stage.line("error", "an error for a token that is refused again");
    const third = await stage.stream("another stream after the second refusal", 45_000);
    stage.requireNotBefore(third.at, since, 500, "a wait of 0.5 s was expected after a second refusal");
    const then = stage.now;
    third.end(fail("TOKEN_INVALID", "the signature is wrong"));
    const fourth = await stage.stream("another stream after the third refusal", 45_000);
    stage.requireNotBefore(fourth.at, then, 1_000, "a wait of 1 s was expected after a third refusal");
    const { length } = stage.server.tokens;
    stage.require(length <= 4, `at most 4 calls of the token function were expected; there were ${length}`);
    await fourth.hello();
    await fourth.caughtUp();
    await stage.line("caughtUp", "the client to be live with the fourth token");
  },
};

const tokenFails: Scenario = {
  name: "token-function-fails",
  group: "subscriber",
  rule: 8,
  sentence: "A token function that fails is called again, with growing delays.",
  async run(stage) {
    let failures = 0;
    stage.server.tokenAnswer = () => (++failures <= 3 ? proxyPage(503) : undefined);
    const stream = await stage.subscribe();
    stage.require(failures === 4, `4 calls of the token function were expected; there were ${failures}`);
    await stream.hello();
    await stream.caughtUp();
    await stage.line("caughtUp", "the client to be live");
  },
};

const tokenHangs: Scenario = {
  name: "token-function-hangs",
  group: "subscriber",
  rule: 3,
  sentence: "A token function that does not answer is given up after 30 s, and called again.",
  slow: true,
  async run(stage) {
    stage.server.tokensWithoutAnswer = 1;
    const since = stage.now;
    stage.send({ type: "subscribe" });
    const stream = await stage.stream("a stream, 30 s after a call of the token function without an answer", 75_000);
    stage.requireNotBefore(stream.at, since, 20_000, "the token function was expected to get 30 s");
    await stream.hello();
    await stream.caughtUp();
    await stage.line("caughtUp", "the client to be live");
  },
};

const tokenShared: Scenario = {
  name: "token-shared",
  group: "subscriber",
  rule: 8,
  sentence:
    "Calls use the token of the stream; a call whose token is refused is repeated once with a fresh one, which both use.",
  async run(stage) {
    stage.expectsErrors = true;
    const first = await goLive(stage);
    const asked = stage.server.tokens.length;
    stage.require(asked === 1, `one call of the token function was expected; there were ${asked}`);
    stage.send({ type: "markRead", id: "mark", request: { all: true } });
    const refused = await stage.call("markRead");
    stage.require(refused.token === first.token, "the call was expected to use the token of the stream");
    refused.fail(fail("TOKEN_EXPIRED", "the token has expired"));
    const repeated = await stage.call("markRead", "the call again, with a fresh token");
    const fresh = stage.server.tokens.at(-1);
    stage.require(fresh?.refresh === true, "a call of the token function with refresh was expected");
    stage.require(repeated.token === fresh?.token, "the repeated call was expected to use the fresh token");
    repeated.reply({ changed: 2 });
    const line = await stage.line("markedRead", "the line markedRead");
    stage.require(line.id === "mark" && line.changed === 2, "the id of the command and 2 changes were expected");
    first.reset();
    const second = await stage.stream();
    stage.require(second.token === fresh?.token, "the next stream was expected to use the fresh token, too");
    // Refused twice, a call fails.
    stage.send({ type: "markRead", id: "twice", request: { all: true } });
    (await stage.call("markRead")).fail(fail("TOKEN_EXPIRED", "the token has expired"));
    (await stage.call("markRead")).fail(fail("TOKEN_EXPIRED", "the token has expired"));
    const error = await stage.until(
      () => stage.lines("error").find(({ id }) => id === "twice"),
      "an error of the call",
    );
    if (error.code !== "unauthenticated") throw new Failed(`unauthenticated was expected; it was ${error.code}`);
    await stage.never(
      () => stage.server.takeCall("markRead"),
      500,
      "no third attempt of the call was expected; one came",
    );
  },
};

/** The scenarios of this file. */
export const refusalScenarios: readonly Scenario[] = [
  retryInfo,
  noHello,
  proxyErrors,
  retryAfter,
  backoff,
  hotLoop,
  tokenRefused,
  tokenFails,
  tokenHangs,
  tokenShared,
];
