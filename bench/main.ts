/** `npm run bench`: measures Tidings on this machine, next to other servers and bare backends in the same run. */
import { parseArgs } from "node:util";
import { Drivers } from "./drivers/drivers.ts";
import { plans } from "./plan.ts";
import { profileInto } from "./process/child.ts";
import { machineLine, warnings } from "./report/machine.ts";
import { writeReport } from "./report/report.ts";
import type { Section } from "./report/section.ts";
import { tableText } from "./report/table.ts";
import { targetTable } from "./report/target.ts";
import { sections } from "./sections.ts";

const help = `Usage: npm run bench -- [options]

Measures Tidings on this machine and prints the tables of docs/performance.md, in about twelve minutes.

Options:
  --quick             A run of seconds that shows whether everything works. Its figures mean nothing.
  --full              More and longer rounds, and a slow reader that stops for five minutes.
  --only <names>      Run only these parts, separated by commas:
                      ${Object.keys(sections).join(", ")}.
  --rows <text>       Measure only rows whose name contains this text, in the parts that compare servers, and only stores
                      of nodes (ferretdb, memory). May be repeated.
  --profile <folder>  Write a CPU profile of each server into this folder; bench/profile.ts summarizes it.
  --write             Write the tables and charts into docs/performance.md and docs/charts.
  --help              Print this help.`;

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    full: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    only: { type: "string" },
    rows: { type: "string", multiple: true },
    profile: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(help);
  process.exit(0);
}
const base = values.quick ? plans.quick : values.full ? plans.full : plans.default;
const plan = values.rows === undefined ? base : { ...base, rows: values.rows };
const chosen = values.only?.split(",") ?? Object.keys(sections);
const unknown = chosen.filter((name) => !(name in sections));
if (unknown.length > 0) {
  throw new RangeError(`--only: unknown part ${unknown.join(", ")}; there are ${Object.keys(sections).join(", ")}`);
}
if (values.write && (values.quick || values.rows !== undefined || values.profile !== undefined))
  throw new RangeError("--write excludes --quick, --rows and --profile, whose figures do not represent a whole run");
if (values.profile !== undefined) profileInto(values.profile);

console.log(`${machineLine()}\n`);
const quickWarning = "A quick run: it shows whether everything works. ITS FIGURES MEAN NOTHING.";
if (values.quick) console.log(`${quickWarning}\n`);
for (const warning of warnings()) console.log(`${warning}\n`);
const start = performance.now();
await using drivers = new Drivers();
const measured: Record<string, Section> = {};
for (const name of chosen) {
  const sectionStart = performance.now();
  const section = await (sections[name] as (typeof sections)[string])(plan, drivers);
  measured[name] = section;
  await drivers.subscribers.closeAll();
  if (values.quick) console.log(quickWarning);
  console.log(`## ${name} (${((performance.now() - sectionStart) / 1000).toFixed(1)} s)\n`);
  for (const table of section.tables) console.log(`${tableText(table)}\n`);
}
const targets = Object.values(measured).flatMap((section) => section.targets ?? []);
if (targets.length > 0) console.log(`## targets\n\n${tableText(targetTable(targets))}\n`);
console.log(`${((performance.now() - start) / 1000).toFixed(0)} s in total`);
if (values.write) writeReport(measured, targets);
