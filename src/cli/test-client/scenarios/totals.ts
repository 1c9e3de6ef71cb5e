/** The unread totals, which a client counts from the stream alone. */
import { at, note, type StreamCall } from "../calls.ts";
import { Failed, type Scenario, type Stage } from "../stage.ts";

/** Totals as a program prints them. */
interface Totals {
  readonly total: number;
  readonly byCategory: Readonly<Record<string, number>>;
}

/** The last totals that the program printed. */
function lastTotals(stage: Stage): Totals | undefined {
  return stage.lines("unread").at(-1) as Totals | undefined;
}

/** Waits for totals: the program prints others before them, and must not print others after them. */
async function requireTotals(
  stage: Stage,
  total: number,
  byCategory: Record<string, number>,
  why: string,
): Promise<void> {
  const isRight = () => {
    const seen = lastTotals(stage);
    return seen?.total === total && describe(seen.byCategory ?? {}) === describe(byCategory) ? true : undefined;
  };
  try {
    await stage.until(isRight, `the totals ${total}`);
  } catch (error) {
    if (!(error instanceof Failed) || stage.program.exit !== undefined) throw error;
    const { total: seenTotal, byCategory: seen = {} } = lastTotals(stage) ?? {};
    const expected = `the totals ${total} (${describe(byCategory)}) were expected ${why}`;
    throw new Failed(`${expected}; the program printed ${seenTotal ?? "none"} (${describe(seen)})`);
  }
}

/** Categories in a fixed order, without those that have none. */
function describe(byCategory: Readonly<Record<string, number>>): string {
  const entries = Object.entries(byCategory).filter(([, count]) => count !== 0);
  const text = entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `${JSON.stringify(name)}: ${count}`)
    .join(", ");
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

/** A NOTIFICATION of a category in the user's feed. */
function inCategory(seq: number, category: string) {
  return note(seq, "user", 1, { category });
}

async function open(stage: Stage, total: number, byCategory: Record<string, number>): Promise<StreamCall> {
  const stream = await stage.subscribe();
  await stream.hello({ positions: [at("user", 10)], unread: { total, byCategory, version: "100" } });
  return stream;
}

const replay: Scenario = {
  name: "totals-replay",
  group: "subscriber",
  rule: 9,
  sentence:
    "The totals of Hello include what is replayed: messages before CaughtUp add nothing, those after it add one each.",
  async run(stage) {
    const first = await open(stage, 3, { news: 3 });
    await first.messages(inCategory(11, "news"), inCategory(12, "news"));
    await first.caughtUp(at("user", 12));
    await stage.line("caughtUp", "the line caughtUp");
    await requireTotals(stage, 3, { news: 3 }, "after a replay of 2 messages that Hello has counted");
    await first.messages(inCategory(13, "news"), inCategory(14, "mail"), inCategory(14, "mail"));
    await requireTotals(stage, 5, { news: 4, mail: 1 }, "after 2 live messages, one of them sent twice");
    first.reset();
    const second = await stage.stream();
    // The totals of another Hello replace everything.
    await second.hello({ unread: { total: 7, byCategory: { news: 6, mail: 1 }, version: "102" } });
    await second.messages(inCategory(15, "news"), inCategory(16, "news"));
    await second.caughtUp(at("user", 16));
    await stage.line("caughtUp", "the line caughtUp of the second stream", 1);
    await requireTotals(stage, 7, { news: 6, mail: 1 }, "after another Hello with 7, and its replay");
  },
};

const kinds: Scenario = {
  name: "totals-kinds",
  group: "subscriber",
  rule: 9,
  sentence: "Only a NOTIFICATION with a position counts: no EVENT, and no ACTIVITY.",
  async run(stage) {
    const stream = await open(stage, 1, { "": 1 });
    await stream.caughtUp(at("user", 10));
    await stream.messages(
      note(11, "user", 1, { kind: 3 }),
      note(1, "activity", 1, { kind: 2 }),
      note(0, "user", 1, { id: "typing", kind: 3, position: undefined }),
      note(12),
    );
    await requireTotals(
      stage,
      2,
      { "": 2 },
      "after an EVENT, an ACTIVITY, an EVENT without position and one NOTIFICATION",
    );
    await stage.pass(200);
    await requireTotals(stage, 2, { "": 2 }, "after all of them");
  },
};

const readState: Scenario = {
  name: "totals-read-state",
  group: "subscriber",
  rule: 9,
  sentence: "The totals of a read_state replace those before, and from then on messages add, even before CaughtUp.",
  async run(stage) {
    const stream = await open(stage, 5, { news: 5 });
    await stream.messages(inCategory(11, "news"));
    await stream.send({
      case: "readState",
      value: { unread: { total: 2, byCategory: { news: 2 }, version: "105" }, readIds: ["user-1-3"] },
    });
    await stream.messages(inCategory(12, "news"), inCategory(13, "mail"));
    await stream.caughtUp(at("user", 13));
    await stage.line("readState", "the line readState");
    await stage.line("caughtUp", "the line caughtUp");
    await requireTotals(stage, 4, { news: 3, mail: 1 }, "after a read_state with 2 during the replay, and 2 messages");
    await stream.send({
      case: "readState",
      value: { unread: { total: 0, byCategory: {}, version: "106" }, all: true },
    });
    await requireTotals(stage, 0, {}, "after a read_state with 0");
    await stream.messages(inCategory(14, "news"));
    await requireTotals(stage, 1, { news: 1 }, "after another message");
  },
};

const categories: Scenario = {
  name: "totals-categories",
  group: "subscriber",
  rule: 9,
  sentence: "At most 100 categories have a name; a message of a further one counts under (other).",
  async run(stage) {
    const names = Array.from({ length: 100 }, (_, index) => `category ${index}`);
    const full = Object.fromEntries(names.map((name) => [name, 1]));
    const stream = await open(stage, 100, full);
    await stream.caughtUp(at("user", 10));
    await stream.messages(inCategory(11, "one too many"), inCategory(12, "category 7"), inCategory(13, "another"));
    const expected = { ...full, "category 7": 2, "(other)": 2 };
    await requireTotals(stage, 103, expected, "after messages of two further categories and of a named one");
  },
};

const answers: Scenario = {
  name: "totals-answers",
  group: "subscriber",
  rule: 9,
  sentence: "The totals of a call's answer are taken if their version is newer, and left if it is older.",
  async run(stage) {
    const stream = await open(stage, 5, { news: 5 });
    await stream.caughtUp(at("user", 10));
    await requireTotals(stage, 5, { news: 5 }, "after Hello");
    stage.send({ type: "markRead", id: "newer", request: { oldest: 1 } });
    const newer = { total: 4, byCategory: { news: 4 }, version: "101" };
    (await stage.call("markRead")).reply({ changed: 1, unread: newer });
    await requireTotals(stage, 4, { news: 4 }, "after an answer of version 101");
    stage.send({ type: "markRead", id: "older", request: { oldest: 1 } });
    const older = { total: 9, byCategory: { news: 9 }, version: "99" };
    (await stage.call("markRead")).reply({ changed: 1, unread: older });
    await stage.line("markedRead", "the line markedRead of the second call", 1);
    await requireTotals(stage, 4, { news: 4 }, "after an answer of version 99");
    const wrong = stage.lines("unread").some(({ total }) => total === 9);
    stage.require(!wrong, "the totals of version 99 were expected to be left; the program printed them");
  },
};

/** The scenarios of this file. */
export const totalScenarios: readonly Scenario[] = [replay, kinds, readState, categories, answers];
