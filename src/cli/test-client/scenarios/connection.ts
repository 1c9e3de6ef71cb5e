/** Connections that break: resets, silence, delays that the server names, and errors. */
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../../../gen/google/rpc/error_details_pb.ts";
import { fail } from "../../../errors.ts";
import { at, duration, note, notes, type StreamCall } from "../calls.ts";
import { Failed, type Scenario, type Stage } from "../stage.ts";

/** Opens a stream and brings it to live, at a position in the user's feed. */
export async function goLive(stage: Stage, seq = 0): Promise<StreamCall> {
  const stream = await stage.subscribe();
  await stream.hello({ positions: [at("user", seq)] });
  await stream.caughtUp(at("user", seq));
  await stage.line("caughtUp", "the line caughtUp of the first stream");
  return stream;
}

const resets: Scenario = {
  name: "resets",
  group: "subscriber",
  rule: 1,
  sentence: "Over 20 connections that are reset within a message, every message arrives once and in order.",
  slow: true,
  async run(stage) {
    const expected = "all 200 messages, once and in order";
    let sent = 0;
    let stream = await stage.subscribe();
    for (let round = 1; round <= 20; round++) {
      const from = stream.seqOf("user") ?? 0;
      if (from > sent) throw new Failed(`a position up to ${sent} was expected; the client asked from ${from}`);
      await stream.hello({ positions: [at("user", from)] });
      const to = round * 10;
      // Replayed, and then live.
      await stream.messages(...notes(from + 1, to - 5));
      await stream.caughtUp(at("user", to - 5));
      await stream.messages(...notes(to - 4, to));
      sent = to;
      // Long enough to forget the failure before, so that the back-off stays short.
      await stage.pass(650);
      await stream.cut({ case: "message", value: note(to + 1) });
      stream = await stage.stream(`a stream after reset ${round}`);
    }
    const from = stream.seqOf("user") ?? 0;
    await stream.hello({ positions: [at("user", from)] });
    await stream.messages(...notes(from + 1, 200));
    await stream.caughtUp(at("user", 200));
    await stage.messages(
      notes(1, 200).map(({ id }) => id),
      expected,
    );
  },
};

const silence: Scenario = {
  name: "silence",
  group: "subscriber",
  rule: 3,
  sentence: "A stream without any event for twice its heartbeat interval is dropped, and another is opened.",
  async run(stage) {
    const first = await stage.subscribe();
    first.answersPings = false;
    await first.hello({ heartbeatMs: 1_000, positions: [at("user", 0)] });
    await first.caughtUp(at("user", 0));
    let last = stage.now;
    // Where the kit itself was late, on a loaded machine, the client may have dropped the stream with good reason.
    let isLate = false;
    for (let beat = 0; beat < 8 && !isLate; beat++) {
      await stage.pass(300);
      isLate = stage.now - last > 1_800;
      const stays = isLate || first.goneAt === undefined;
      stage.require(stays, "a stream with heartbeats was expected to stay; it was dropped");
      await first.send({ case: "heartbeat", value: { positions: [at("user", 0)] } });
      last = stage.now;
    }
    // Bytes of an event that never ends are no event.
    await first.half({ case: "message", value: note(1) });
    const second = await stage.stream("another stream, after 2 s of silence with an interval of 1 s");
    const expected = "a stream may be silent for 2 s with an interval of 1 s";
    if (!isLate) stage.requireNotBefore(second.at, last, 2_000, expected);
    await stage.until(() => first.goneAt, "the silent stream to be dropped");
  },
};

const goAway: Scenario = {
  name: "go-away",
  group: "subscriber",
  rule: 5,
  sentence: "After GoAway the client waits for reconnect_after before it reconnects.",
  async run(stage) {
    const first = await goLive(stage);
    const value = { reconnectAfter: duration(2_000), reason: "SERVER_DRAINING", message: "the server restarts" };
    const since = stage.now;
    await first.send({ case: "goAway", value });
    const second = await stage.stream("another stream, 2 to 2.5 s after GoAway");
    stage.requireNotBefore(second.at, since, 2_000, "a wait of 2 s was expected after GoAway with reconnect_after 2 s");
    await second.hello();
    await stage.until(() => first.goneAt, "the stream with GoAway to be dropped");
  },
};

const tokenExpiry: Scenario = {
  name: "token-expiry",
  group: "subscriber",
  rule: 8,
  sentence:
    "When a token of 3 s has expired, the client asks for a fresh one, and reconnects at once, without an error.",
  slow: true,
  async run(stage) {
    stage.server.tokenLifeMs = 3_000;
    let stream = await stage.subscribe();
    await stream.hello({ positions: [at("user", 0)] });
    await stream.caughtUp(at("user", 0));
    // Both connections live long enough to be healthy, so that the refusal after the second is a first one again.
    for (const [round, lifeMs] of [3_000, 3_000].entries()) {
      await stage.pass(lifeMs);
      const since = stage.now;
      const asked = stage.server.tokens.length;
      stream.end(fail("TOKEN_EXPIRED", "the token has expired"));
      const next = await stage.stream("a stream with a fresh token");
      const fresh = stage.server.tokens.slice(asked);
      stage.require(fresh.length > 0, "a call of the token function was expected after TOKEN_EXPIRED; there was none");
      stage.require(
        fresh.some(({ refresh }) => refresh),
        "a call of the token function with refresh was expected after TOKEN_EXPIRED; it was called without",
      );
      stage.require(next.token === fresh.at(-1)?.token, "the next stream was expected to use the fresh token");
      stage.require(
        next.at - since < 14_000,
        `a stream at once was expected after refusal ${round + 1}; it came after ${Math.round(next.at - since)} ms`,
      );
      await next.hello({ positions: [at("user", 0)] });
      await next.caughtUp(at("user", 0));
      stream = next;
    }
    await stage.line("caughtUp", "the client to be live again", 2);
    const [error] = stage.lines("error");
    if (error !== undefined) throw new Failed(`no error was expected for an expired token; it was ${error.code}`);
  },
};

/** An error of a server for each code that ends a subscription. */
const finalErrors = [
  fail("CALLER_BLOCKED", "the user is blocked"),
  fail("FIELD_INVALID", "is too long", { field: "categories" }),
  fail("PROTOCOL_UNSUPPORTED", "the method is not served here"),
  fail("SERVICE_UNKNOWN", "there is no such service"),
];

const finalError: Scenario = {
  name: "final-errors",
  group: "subscriber",
  rule: 6,
  sentence:
    "permission_denied, invalid_argument, unimplemented and not_found of a Tidings server end the subscription, with one error.",
  slow: true,
  async run(stage) {
    stage.expectsErrors = true;
    for (const [index, error] of finalErrors.entries()) {
      if (index > 0) await stage.restart();
      const stream = await stage.subscribe();
      // The first one ends a stream that was live, as when a user is disconnected.
      if (index === 0) {
        await stream.hello();
        await stream.caughtUp();
      }
      stream.end(error);
      const code = Code[error.code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
      const line = await stage.line("error", `an error with the code ${code}`);
      stage.require(line.code === code, `an error with the code ${code} was expected, not ${line.code}`);
      stage.require(line.final === true, `a final error was expected for ${code}; final was ${line.final}`);
      await stage.never(
        () => stage.server.takeStream(),
        1_200,
        `no further stream was expected after ${code}; one came`,
      );
      const errors = stage.lines("error").length;
      stage.require(errors === 1, `one error was expected for ${code}; ${errors} were printed`);
    }
  },
};

const endsWithoutError: Scenario = {
  name: "ends-without-error",
  group: "subscriber",
  rule: 6,
  sentence: "A stream that ends without an error is opened again.",
  async run(stage) {
    const first = await goLive(stage);
    first.end();
    const second = await stage.stream("another stream after one that just ended");
    await second.hello();
    second.end();
    await stage.stream("another stream after a second one that just ended");
  },
};

const retried: Scenario = {
  name: "retried-errors",
  group: "subscriber",
  rule: 6,
  sentence: "Errors of other codes are retried, and so are those of final codes that carry no ErrorInfo of tidings.",
  async run(stage) {
    const errors = [
      fail("INTERNAL", "the server made a mistake"),
      fail("STORE_UNAVAILABLE", "the store is away"),
      new ConnectError("a gateway answers for the server", Code.PermissionDenied),
      new ConnectError("a gateway knows no such route", Code.Unimplemented),
      new ConnectError("a gateway refuses the call", Code.PermissionDenied, undefined, [
        { desc: ErrorInfoSchema, value: { reason: "API_DISABLED", domain: "gateway.example" } },
      ]),
    ];
    let stream = await stage.subscribe();
    for (const error of errors) {
      // Long enough to forget the failure before.
      await stream.hello();
      await stage.pass(650);
      stream.end(error);
      stream = await stage.stream(`another stream after ${Code[error.code]}: ${error.rawMessage}`);
    }
    await stream.hello();
  },
};

/** The scenarios of this file. */
export const connectionScenarios: readonly Scenario[] = [
  resets,
  silence,
  goAway,
  tokenExpiry,
  finalError,
  endsWithoutError,
  retried,
];
