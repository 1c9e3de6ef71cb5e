/** Positions: the events that set, replace and discard them. */
import { fail } from "../../../errors.ts";
import { at, note, notes, type StreamCall } from "../calls.ts";
import { Failed, type Scenario, type Stage } from "../stage.ts";
import { goLive } from "./connection.ts";

/** Requires that a stream starts at a position of a feed. */
export function requireSeq(stream: StreamCall, feed: string, seq: number, why: string): void {
  const seen = stream.seqOf(feed);
  if (seen === seq) return;
  throw new Failed(`the position ${seq} of ${feed} was expected ${why}; the request had ${seen ?? "none"}`);
}

/** Waits until the program has processed everything that was sent so far: a message without a position comes through. */
async function settle(stage: Stage, stream: StreamCall): Promise<void> {
  const id = `settled-${stage.now}`;
  await stream.messages(note(0, "user", 1, { id, kind: 3, position: undefined }));
  await stage.until(() => stage.messageIds.includes(id) || undefined, "an event without a position to be given");
}

const fromCaughtUp: Scenario = {
  name: "position-caught-up",
  group: "subscriber",
  rule: 1,
  sentence: "The positions of CaughtUp count, also where filters hid the messages before them.",
  async run(stage) {
    const first = await goLive(stage, 3);
    first.reset();
    const second = await stage.stream();
    requireSeq(second, "user", 3, "after CaughtUp at 3");
    await second.hello();
    await second.caughtUp(at("user", 9), at("tenant", 4));
    await settle(stage, second);
    second.reset();
    const third = await stage.stream();
    requireSeq(third, "user", 9, "after CaughtUp at 9");
    requireSeq(third, "tenant", 4, "after CaughtUp at 4");
  },
};

const fromHeartbeat: Scenario = {
  name: "position-heartbeat",
  group: "subscriber",
  rule: 1,
  sentence: "The positions of Heartbeat count.",
  async run(stage) {
    const first = await goLive(stage, 3);
    await first.send({ case: "heartbeat", value: { positions: [at("user", 12), at("activity", 7)] } });
    await settle(stage, first);
    first.reset();
    const second = await stage.stream();
    requireSeq(second, "user", 12, "after a heartbeat at 12");
    requireSeq(second, "activity", 7, "after a heartbeat at 7");
  },
};

const fromMessages: Scenario = {
  name: "position-messages",
  group: "subscriber",
  rule: 1,
  sentence: "Each feed has a position of its own, which its messages advance and never move back.",
  async run(stage) {
    const first = await goLive(stage, 3);
    await first.messages(note(4), note(8, "tenant"), note(5), note(9, "tenant"));
    // An older position, as a heartbeat that was queued before the messages has.
    await first.send({ case: "heartbeat", value: { positions: [at("user", 4)] } });
    await settle(stage, first);
    first.reset();
    const second = await stage.stream();
    requireSeq(second, "user", 5, "after message 5 and a later event at 4");
    requireSeq(second, "tenant", 9, "after message 9 of the tenant");
  },
};

const large: Scenario = {
  name: "position-large",
  group: "subscriber",
  rule: 1,
  sentence: "A seq is an unsigned number of 64 bits, which a double cannot hold.",
  async run(stage) {
    const first = await goLive(stage, 3);
    // As doubles, and as signed numbers, these two are in no order.
    const [before, seq] = ["9223372036854775807", "9223372036854775808"];
    const position = { feed: "user", epoch: 4_294_967_295, seq };
    const sent = { before: { ...position, seq: before }, large: position, again: position };
    const large = Object.entries(sent).map(([id, position]) => note(0, "user", 1, { id, position }));
    await first.messages(...large);
    await settle(stage, first);
    stage.require(
      stage.messageIds.includes("large"),
      `the message at ${seq}, after ${before}, was expected to be given`,
    );
    stage.require(!stage.messageIds.includes("again"), `the second message at ${seq} was expected to be dropped`);
    first.reset();
    const second = await stage.stream();
    const seen = second.request.positions.find(({ feed }) => feed === "user");
    const isRight = seen?.seq === seq && seen.epoch === position.epoch;
    stage.require(
      isRight,
      `the position ${seq} in epoch ${position.epoch} was expected; it was ${seen?.seq} in ${seen?.epoch}`,
    );
  },
};

const fromHello: Scenario = {
  name: "position-hello",
  group: "subscriber",
  rule: 1,
  sentence:
    "The positions of Hello count, so that a stream that breaks before its first message resumes where it began.",
  async run(stage) {
    const first = await stage.subscribe();
    stage.require(first.request.positions.length === 0, "a first stream without positions was expected");
    await first.hello({ positions: [at("user", 6), at("everyone", 2)] });
    await settle(stage, first);
    first.reset();
    const second = await stage.stream();
    requireSeq(second, "user", 6, "after Hello at 6");
    requireSeq(second, "everyone", 2, "after Hello at 2");
    await second.hello();
    await second.messages(note(7));
    await stage.messages([...stage.messageIds.filter((id) => id.startsWith("settled")), "user-1-7"], "message 7");
  },
};

const gap: Scenario = {
  name: "gap",
  group: "subscriber",
  rule: 1,
  sentence: "A Gap is reported to the application, and the position after it is that of Gap.to.",
  async run(stage) {
    const first = await goLive(stage, 3);
    first.reset();
    const second = await stage.stream();
    await second.hello({ positions: [at("user", 3)] });
    await second.send({ case: "gap", value: { after: at("user", 3), to: at("user", 40) } });
    const line = await stage.line("gap", "the line gap");
    const seen = [line.feed, String(line.after), String(line.to)].join(" ");
    stage.require(seen === "user 3 40", `a gap of the feed user after 3 to 40 was expected; it was ${seen}`);
    second.reset();
    const third = await stage.stream();
    requireSeq(third, "user", 40, "after a gap to 40");
  },
};

const epochChange: Scenario = {
  name: "epoch",
  group: "subscriber",
  rule: 1,
  sentence:
    "A position of another epoch replaces the old one, though its seq is lower, and its messages are no duplicates.",
  async run(stage) {
    const first = await goLive(stage, 40);
    first.reset();
    const second = await stage.stream();
    requireSeq(second, "user", 40, "after CaughtUp at 40");
    await second.hello({ positions: [at("user", 40)] });
    await second.send({ case: "gap", value: { after: at("user", 40), to: at("user", 35, 2) } });
    await second.messages(note(36, "user", 2), note(37, "user", 2));
    await stage.messages(["user-2-36", "user-2-37"], "the messages 36 and 37 of the new epoch");
    second.reset();
    const third = await stage.stream();
    requireSeq(third, "user", 37, "in the new epoch");
    const epoch = third.request.positions.find(({ feed }) => feed === "user")?.epoch;
    stage.require(epoch === 2, `a position in epoch 2 was expected; it was in epoch ${epoch}`);
    // Without a gap, as where the application was away while the feed was rebuilt.
    await third.hello();
    await third.messages(note(1, "user", 3), note(2, "user", 3));
    await stage.messages(["user-2-36", "user-2-37", "user-3-1", "user-3-2"], "the messages 1 and 2 of the third epoch");
  },
};

/** The errors of a server for positions that it does not know. */
const refusals = [
  fail("POSITION_IN_FUTURE", "the feed is at 2", { field: "positions" }),
  fail("POSITION_INVALID", "the room is not joined", { field: "positions" }),
];

const positionsRefused: Scenario = {
  name: "positions-refused",
  group: "subscriber",
  rule: 7,
  sentence: "After POSITION_IN_FUTURE or POSITION_INVALID the client forgets its positions, says so, and starts anew.",
  async run(stage) {
    let stream = await goLive(stage, 40);
    for (const [index, error] of refusals.entries()) {
      stream.reset();
      stream = await stage.stream();
      requireSeq(stream, "user", 40, "before the refusal");
      stream.end(error);
      const reason = index === 0 ? "POSITION_IN_FUTURE" : "POSITION_INVALID";
      const line = await stage.line("reset", `the line reset with ${reason}`, index);
      stage.require(line.reason === reason, `a reset with the reason ${reason} was expected; it was ${line.reason}`);
      stream = await stage.stream(`a stream after ${reason}`);
      const { length } = stream.request.positions;
      stage.require(length === 0, `a request without positions was expected after ${reason}; it had ${length}`);
      await stream.hello({ positions: [at("user", 40)] });
      await stream.caughtUp(at("user", 40));
      await stage.line("caughtUp", "the client to be live again", index + 1);
      // Long enough to forget the failures.
      await stage.pass(1_200);
    }
  },
};

const duplicates: Scenario = {
  name: "duplicates",
  group: "subscriber",
  rule: 2,
  sentence: "A message at or before the position of its feed is dropped, on the same stream and on a later one.",
  async run(stage) {
    const first = await goLive(stage, 0);
    await first.messages(note(1), note(1), note(2), note(1), note(2), note(1, "tenant"), note(3), note(2));
    await settle(stage, first);
    first.reset();
    const second = await stage.stream();
    await second.hello();
    // A server may replay from before the position.
    await second.messages(...notes(1, 5), note(1, "tenant"), note(2, "tenant"));
    await settle(stage, second);
    const expected = ["user-1-1", "user-1-2", "tenant-1-1", "user-1-3", "user-1-4", "user-1-5", "tenant-1-2"];
    const seen = stage.messageIds.filter((id) => !id.startsWith("settled"));
    const same = seen.join() === expected.join();
    stage.require(same, `each message once and in order was expected: ${expected}; the program printed ${seen}`);
  },
};

const withoutPosition: Scenario = {
  name: "events-without-position",
  group: "subscriber",
  rule: 2,
  sentence: "An EVENT that is not stored has no position: it is always given, and changes no position.",
  async run(stage) {
    const first = await goLive(stage, 5);
    const event = note(0, "user", 1, { id: "typing", kind: 3, position: undefined });
    await first.messages(event, event, note(6), event);
    await stage.messages(["typing", "typing", "user-1-6", "typing"], "the event each time, and message 6");
    first.reset();
    const second = await stage.stream();
    requireSeq(second, "user", 6, "after message 6");
    await second.hello();
    await second.messages(event);
    await stage.messages(["typing", "typing", "user-1-6", "typing", "typing"], "the event on the next stream, too");
  },
};

const lateEvents: Scenario = {
  name: "old-stream",
  group: "subscriber",
  rule: 2,
  sentence: "After a new stream was opened, events of the old one neither come twice nor move a position back.",
  async run(stage) {
    const first = await goLive(stage, 0);
    await first.messages(note(1));
    await stage.messages(["user-1-1"], "message 1");
    stage.send({ type: "join", roomId: "late" });
    const second = await stage.stream("another stream after a join");
    requireSeq(second, "user", 1, "of a stream for a join");
    // Both streams are open at the server: a proxy may still hold the old one.
    await Promise.all([first.messages(note(2), note(3)), second.hello(), second.messages(note(2))]);
    await first.messages(note(4)).catch(() => {});
    await second.messages(note(3), note(4), note(5));
    await second.caughtUp(at("user", 5));
    await stage.messages(
      notes(1, 5).map(({ id }) => id),
      "each message once and in order",
    );
    await stage.until(() => first.goneAt, "the old stream to be dropped");
    second.reset();
    requireSeq(await stage.stream(), "user", 5, "after message 5");
  },
};

/** The scenarios of this file. */
export const positionScenarios: readonly Scenario[] = [
  fromMessages,
  fromCaughtUp,
  fromHeartbeat,
  fromHello,
  large,
  gap,
  epochChange,
  positionsRefused,
  duplicates,
  withoutPosition,
  lateEvents,
];
