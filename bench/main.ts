/** `npm run bench`: what Tidings costs on this machine, each figure beside others of the same run. */
import { parseArgs } from "node:util";
import { profileInto } from "./child.ts";
import { Drivers } from "./drivers.ts";
import { doubts, machineLine } from "./machine.ts";
import { plans } from "./plan.ts";
import { writeReport } from "./report.ts";
import type { Section } from "./section.ts";
import { sections } from "./sections.ts";
import { tableText } from "./table.ts";
import { targetTable } from "./target.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    full: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    only: { type: "string" },
    rows: { type: "string", multiple: true },
    profile: { type: "string" },
  },
});
const usual = values.quick ? plans.quick : values.full ? plans.full : plans.default;
const plan = values.rows === undefined ? usual : { ...usual, rows: values.rows };
const chosen = values.only?.split(",") ?? Object.keys(sections);
const unknown = chosen.filter((name) => !(name in sections));
if (unknown.length > 0) throw new RangeError(`--only: no ${unknown.join(", ")}; there are ${Object.keys(sections)}`);
if (values.write && (values.quick || values.rows !== undefined || values.profile !== undefined))
  throw new RangeError("--write: figures of a quick, partial or profiled run say nothing");
if (values.profile !== undefined) profileInto(values.profile);

console.log(`${machineLine()}\n`);
for (const doubt of doubts()) console.log(`${doubt}\n`);
const start = performance.now();
await using drivers = new Drivers();
const measured: Record<string, Section> = {};
for (const name of chosen) {
  const began = performance.now();
  const section = await (sections[name] as (typeof sections)[string])(plan, drivers);
  measured[name] = section;
  await drivers.subscribers.closeAll();
  console.log(`## ${name} (${((performance.now() - began) / 1000).toFixed(1)} s)\n`);
  for (const table of section.tables) console.log(`${tableText(table)}\n`);
}
const targets = Object.values(measured).flatMap((section) => section.targets ?? []);
if (targets.length > 0) console.log(`## targets\n\n${tableText(targetTable(targets))}\n`);
console.log(`${((performance.now() - start) / 1000).toFixed(0)} s in all`);
if (values.write) writeReport(measured, targets);
