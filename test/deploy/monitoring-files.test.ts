/** The dashboard, the alert rules and the documents name metrics that a server has, and all of them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { Figures } from "../support/figures.ts";
import { newTenant, startServer, type TestServer } from "../support/server.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
/** Metrics of Prometheus itself. */
const foreign = new Set(["up"]);

let server: TestServer;
let figures: Figures;
beforeAll(async () => {
  server = await startServer({ metrics: true });
  const backend = server.client({ tenant: newTenant(), role: "service" });
  await backend.publish({ audience: { to: { case: "tenant", value: true } }, message: { kind: Kind.NOTIFICATION } });
  figures = new Figures((await server.tidings.metrics()).text);
});
afterAll(() => server.stop());

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}
interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly runbook: string };
}
const dashboard = JSON.parse(read("deploy/grafana-dashboard.json")) as { panels: readonly Panel[] };
const rules = (parse(read("deploy/prometheus-alerts.yaml")) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (group) => group.rules,
);
const panels = dashboard.panels.filter(({ type }) => type !== "row");
const queries: readonly [where: string, expr: string][] = [
  ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }): [string, string] => [title, expr])),
  ...rules.map(({ alert, expr }): [string, string] => [alert, expr]),
];

/** The names of metrics in a query: its words without functions, keywords, labels and strings. */
function namesIn(expr: string): string[] {
  const bare = expr
    .replace(/"[^"]*"/g, "")
    .replace(/\{[^}]*\}/g, "{}")
    .replace(/\[[^\]]*\]/g, "")
    .replace(/\b(by|without|on|ignoring)\s*\([^)]*\)/g, "");
  return [...bare.matchAll(/[a-zA-Z_]\w*/g)]
    .filter(({ 0: word, index }) => !/^(and|or|unless)$/.test(word) && !/^\s*\(/.test(bare.slice(index + word.length)))
    .map(([word]) => word)
    .filter((word) => !/^(sum|min|max|rate)$/.test(word));
}

/** The labels that a query matches or groups by. */
function labelsIn(expr: string): string[] {
  const matchers = [...expr.matchAll(/\{([^}]*)\}/g)].flatMap(([, list = ""]) =>
    [...list.matchAll(/(\w+)\s*(?:=~|!=|!~|=)/g)].map(([, label = ""]) => label),
  );
  const kept = [...expr.matchAll(/\bby\s*\(([^)]*)\)/g)].flatMap(([, list = ""]) => list.split(/,\s*/));
  return [...matchers, ...kept];
}

const family = (name: string) => (figures.types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, ""));

test("The dashboard and the alert rules have queries", () => {
  expect(panels.length).toBeGreaterThan(30);
  expect(rules.length).toBeGreaterThan(12);
  for (const [where, expr] of queries) expect(namesIn(expr).length, where).toBeGreaterThan(0);
});

test.each(queries)("The query of %s uses metrics and labels of a server: %s", (_where, expr) => {
  for (const name of namesIn(expr).filter((word) => !foreign.has(word))) {
    expect.soft(figures.types.has(family(name)), name).toBe(true);
    // A histogram is queried by its bucket, sum or count only, and nothing else has those.
    expect.soft(figures.types.get(family(name)) === "histogram", name).toBe(/_(bucket|sum|count)$/.test(name));
  }
  const known = new Set(["job", "instance", "le", ...figures.samples.flatMap(({ labels }) => Object.keys(labels))]);
  for (const label of labelsIn(expr)) expect.soft(known.has(label), label).toBe(true);
});

test("Queries match reasons that the error table has", () => {
  const text = read("src/errors.ts");
  for (const [where, expr] of queries) {
    for (const [, list = ""] of expr.matchAll(/reason=~?"([^"]*)"/g)) {
      for (const reason of list.split("|")) expect.soft(text, where).toContain(`  ${reason}: {`);
    }
  }
});

test("No two panels of the dashboard have the same id", () => {
  const ids = dashboard.panels.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
});

test("Each metric has a panel", () => {
  const shown = new Set(panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => namesIn(expr).map(family))));
  for (const name of figures.types.keys()) expect.soft(shown.has(name), name).toBe(true);
});

test("docs/metrics.md lists each metric with its type and labels, and no others", () => {
  const rows = [...read("docs/metrics.md").matchAll(/^\| `(\w+)` \| (counter|gauge|histogram) \| ([^|]*) \|/gm)].map(
    ([, name = "", type = "", labels = ""]) => [name, type, labels.replaceAll("`", "").trim()],
  );
  const seen = new Map<string, Set<string>>();
  for (const { name, labels } of figures.samples) {
    const names = seen.get(family(name)) ?? new Set();
    seen.set(family(name), names);
    for (const label of Object.keys(labels)) if (label !== "le") names.add(label);
  }
  const documented = new Map(rows.map(([name = "", ...rest]) => [name, rest]));
  expect([...documented.keys()].sort()).toEqual([...figures.types.keys()].sort());
  for (const [name, [type = "", labels = ""] = []] of documented) {
    expect.soft(type, name).toBe(figures.types.get(name));
    // Labels show only where something has been counted.
    for (const label of seen.get(name) ?? []) expect.soft(labels.split(", "), name).toContain(label);
  }
});

describe("docs/operations.md", () => {
  test.each(rules.map((rule): [string, Rule] => [rule.alert, rule]))("explains the alarm %s", (name, rule) => {
    expect(rule.annotations.runbook).toBe(`docs/operations.md#${name.toLowerCase()}`);
    expect(["page", "ticket"]).toContain(rule.labels.severity);
    expect(read("docs/operations.md")).toContain(`\n### ${name}\n`);
  });
});
