import { describe, expect, test } from "vitest";
import { hasFlag, limitSemiSpace, type NodeProcess, semiSpaceFlags } from "../../../src/cli/process/semi-space.ts";

const plain = { execPath: "/bin/node", execArgv: ["--inspect"], argv: ["/bin/node", "main.js", "serve"], env: {} };

/** The command lines by which a process replaced itself. */
function commandsOf(megabytes: number, changes: Partial<NodeProcess>): (readonly string[] | undefined)[] {
  const commands: (readonly string[] | undefined)[] = [];
  limitSemiSpace(megabytes, { ...plain, execve: (_file, args) => commands.push(args), ...changes });
  return commands;
}

describe("The limit of the semi-spaces", () => {
  test("starts the same command line again with the flag, and the flags that Node had", () => {
    expect(commandsOf(4, {})).toEqual([["/bin/node", "--inspect", "--max-semi-space-size=4", "main.js", "serve"]]);
  });

  test.each<[string, number, Partial<NodeProcess>]>([
    ["0 leaves Node's default", 0, {}],
    ["the arguments of Node have a limit, as after the first start", 4, { execArgv: ["--max-semi-space-size=4"] }],
    ["the arguments of Node have one with underscores", 4, { execArgv: ["--max_semi_space_size=16"] }],
    ["NODE_OPTIONS has a limit", 4, { env: { NODE_OPTIONS: "--enable-source-maps --max-semi-space-size=16" } }],
    ["the process has a channel to its parent", 4, { connected: true }],
  ])("starts nothing again where %s", (_, megabytes, changes) => {
    expect(commandsOf(megabytes, changes)).toEqual([]);
  });

  test("is not set where the system cannot replace a process, or Node is not allowed to", () => {
    const { execve: _, ...windows } = { ...plain, execve: undefined };
    expect(() => limitSemiSpace(4, windows)).not.toThrow();
    const forbidden = () => {
      throw new Error("Access to this API has been restricted");
    };
    expect(() => limitSemiSpace(4, { ...plain, execve: forbidden })).not.toThrow();
  });

  test("is passed to worker processes unless the flags of the first process have one", () => {
    expect(semiSpaceFlags(8, plain)).toEqual(["--max-semi-space-size=8"]);
    expect(semiSpaceFlags(8, { ...plain, execArgv: ["--max-semi-space-size=2"] })).toEqual([]);
    expect(hasFlag("--max-old-space-size", { ...plain, env: { NODE_OPTIONS: "--max_old_space_size=900" } })).toBe(true);
  });
});
