import { describe, expect, test } from "vitest";
import { Gather } from "../../../src/adapters/redis/gather.ts";

function build(fails: (subject: string) => boolean = () => false) {
  const asked: (readonly [subject: string, items: readonly string[]])[] = [];
  const gather = new Gather<string>(async (subject, items) => {
    asked.push([subject, items]);
    if (fails(subject)) throw new Error(`no answer for ${subject}`);
    return items.map((item) => `${subject} ${item}`);
  });
  return { asked, gather };
}

describe("Gather", () => {
  test("asks once for all of a turn, and gives each its own answers", async () => {
    const { asked, gather } = build();
    const answers = await Promise.all([
      gather.ask("a", ["1", "2"]),
      gather.ask("b", ["1"]),
      gather.ask("a", []),
      Promise.resolve().then(() => gather.ask("a", ["2", "3"])),
    ]);
    expect(answers).toEqual([["a 1", "a 2"], ["b 1"], [], ["a 2", "a 3"]]);
    expect(asked).toEqual([
      ["a", ["1", "2", "2", "3"]],
      ["b", ["1"]],
    ]);
  });

  test("asks anew in the next turn, and at once when nothing else is asked", async () => {
    const { asked, gather } = build();
    const first = gather.ask("a", ["1"]);
    await new Promise(setImmediate);
    expect(asked).toHaveLength(1);
    expect(await Promise.all([first, gather.ask("a", ["2"])])).toEqual([["a 1"], ["a 2"]]);
    expect(asked).toHaveLength(2);
  });

  test("rejects those whose question failed, and no others", async () => {
    const { gather } = build((subject) => subject === "a");
    const answers = await Promise.allSettled([gather.ask("a", ["1"]), gather.ask("b", ["1"]), gather.ask("a", ["2"])]);
    expect(answers.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "rejected"]);
  });
});
