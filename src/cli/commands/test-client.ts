import type { Command } from "../command.ts";
import { UsageError } from "../config/usage-error.ts";
import { printable } from "../output/printer.ts";
import type { Verdict } from "../test-client/run.ts";
import type { Scenario } from "../test-client/stage.ts";

/** `tidings test-client`: judges a client by servers that misbehave on purpose. */
export const testClient: Command = {
  name: "test-client",
  summary: "Test a client in any language against a server that misbehaves on purpose.",
  details:
    "Starts the program that follows -- once for each scenario, and judges it by what it prints and by what the server sees. " +
    "docs/clients.md describes the rules, and the lines of JSON that the program reads and prints. Exits with 1 if the " +
    "program breaks a rule, and if it does not know a command that --allow-unsupported does not name.",
  examples: [
    "tidings test-client -- python3 client_program.py",
    "tidings test-client --only subscriber -- node program.ts",
    "tidings test-client --only silence,go-away --json -- ./program",
    "tidings test-client --list",
  ],
  async run({ values, io, print, program }) {
    const [{ scenarios }, { runScenarios }] = await Promise.all([
      import("../test-client/scenarios/index.ts"),
      import("../test-client/run.ts"),
    ]);
    const chosen = choose(scenarios, values.only ?? []);
    if (values.list) {
      for (const { name, group, rule, sentence } of chosen) {
        if (values.json) print.json({ name, group, rule, sentence });
        else print.line(`${name.padEnd(24)} rule ${String(rule).padEnd(3)} ${group.padEnd(11)} ${sentence}`);
      }
      return 0;
    }
    if (program.length === 0)
      throw new UsageError("name the program after --, such as -- node program.ts", "test-client");
    const aborted = new AbortController();
    const forget = io.onSignal(() => aborted.abort());
    const allowed = new Set(values.allowUnsupported ?? []);
    const report = (verdict: Verdict) => {
      const { scenario, status, sentence, seconds, trace } = verdict;
      const { name, rule } = scenario;
      if (values.json) return print.json({ name, rule, status, sentence, seconds, trace });
      if (status === "ok") return print.line(`${print.style("green", "ok    ")} ${name}`);
      if (status === "unsupported")
        return print.line(`${print.style("yellow", "n/a   ")} ${name}: ${printable(sentence)}`);
      print.line(`${print.style("red", "FAILED")} ${name} (rule ${rule}): ${printable(sentence)}`);
      print.line(`       the rule: ${scenario.sentence}`);
      for (const line of trace) print.line(`       ${printable(line)}`);
    };
    try {
      const options = { command: program, parallel: values.parallel, deadlineMs: values.stepTimeout, report };
      const verdicts = await runScenarios(chosen, { ...options, signal: aborted.signal });
      const failed = verdicts.filter(({ status, scenario }) => {
        return status === "failed" || (status === "unsupported" && !allowed.has(scenario.name));
      });
      const passed = verdicts.filter(({ status }) => status === "ok").length;
      if (!values.json) print.line(`${passed} of ${chosen.length} scenarios passed`);
      return failed.length > 0 || verdicts.length < chosen.length ? 1 : 0;
    } finally {
      forget();
    }
  },
};

/** The scenarios of these names and groups; all without any. Throws a UsageError for a name that none has. */
function choose(scenarios: readonly Scenario[], only: readonly string[]): readonly Scenario[] {
  for (const name of only) {
    if (!scenarios.some((scenario) => scenario.name === name || scenario.group === name)) {
      throw new UsageError(`--only: there is no scenario or group ${name}; --list shows them`, "test-client");
    }
  }
  return scenarios.filter(({ name, group }) => only.length === 0 || only.includes(name) || only.includes(group));
}
