/** .github/ against the repository: no forge is here to read it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { root } from "../support/run.ts";

const read = (name: string) => readFileSync(join(root, name), "utf8");
const { scripts, engines, repository } = JSON.parse(read("package.json")) as {
  scripts: Record<string, string>;
  engines: { node: string };
  repository: { url: string };
};

interface Workflow {
  readonly jobs: Record<
    string,
    {
      readonly strategy?: { readonly matrix: { readonly node: readonly number[] } };
      readonly env?: Record<string, string>;
      readonly steps: readonly { readonly run?: string; readonly uses?: string }[];
    }
  >;
}

describe(".github/workflows/ci.yml", () => {
  const { jobs } = parse(read(".github/workflows/ci.yml")) as Workflow;
  const steps = Object.values(jobs).flatMap((job) => job.steps);

  test("runs scripts that exist", () => {
    const lines = steps.flatMap(({ run = "" }) => run.split("\n"));
    const named = lines.flatMap((line) => /^npm (?:run )?([\w:-]+)$/.exec(line.trim())?.[1] ?? []);
    expect(named.filter((name) => name !== "ci" && scripts[name] === undefined)).toEqual([]);
    expect(named).toEqual(expect.arrayContaining(["test", "test:servers"]));
    for (const path of lines.filter((line) => line.startsWith("."))) expect(existsSync(join(root, path))).toBe(true);
  });

  test("pins every action to a version", () => {
    for (const { uses } of steps) if (uses !== undefined) expect(uses).toMatch(/@v\d+$/);
  });

  test("tests each even Node from the oldest that package.json allows", () => {
    const { strategy } = jobs.node ?? {};
    const oldest = Number(/^>=(\d+)/.exec(engines.node)?.[1]);
    expect(strategy?.matrix.node).toEqual([oldest, oldest + 2, oldest + 4]);
  });

  test("gives the addresses of its servers to variables that tests read", () => {
    const support = readdirSync(join(root, "test/support")).filter((name) => name.endsWith(".ts"));
    const sources = support.map((name) => read(`test/support/${name}`)).join("");
    const names = Object.keys(jobs.node?.env ?? {});
    expect(names).toHaveLength(2);
    for (const name of names) expect(sources).toContain(`process.env.${name}`);
  });
});

test("Every issue form has what the forge requires of one", () => {
  for (const name of ["bug", "feature"]) {
    const form = parse(read(`.github/ISSUE_TEMPLATE/${name}.yml`)) as Record<string, unknown>;
    expect(form).toMatchObject({ name: expect.any(String), description: expect.any(String) });
    const body = form.body as readonly { type: string; id: string; attributes: { label: string } }[];
    expect(new Set(body.map(({ id }) => id)).size).toBe(body.length);
    for (const { type, attributes } of body) {
      expect(["textarea", "input"]).toContain(type);
      expect(attributes.label).toMatch(/\w/);
    }
  }
});

test("Dependabot watches folders that have a manifest", () => {
  const { updates } = parse(read(".github/dependabot.yml")) as {
    updates: readonly { "package-ecosystem": string; directory?: string; directories?: readonly string[] }[];
  };
  const manifests: Record<string, string> = {
    npm: "package.json",
    gomod: "go.mod",
    pip: "pyproject.toml",
    docker: "Dockerfile",
    "github-actions": ".github/workflows",
  };
  for (const { "package-ecosystem": ecosystem, directory, directories = [directory ?? ""] } of updates) {
    for (const folder of directories) {
      const manifest = join(root, folder, manifests[ecosystem] ?? "unknown");
      expect(existsSync(manifest), `${ecosystem} in ${folder}`).toBe(true);
    }
  }
});

test("Links into the repository name the one of package.json", () => {
  const own = repository.url.replace(/^git\+/, "").replace(/\.git$/, "");
  for (const name of [
    ".github/ISSUE_TEMPLATE/config.yml",
    "CODE_OF_CONDUCT.md",
    "SECURITY.md",
    "src/client/README.md",
  ]) {
    const links = [...read(name).matchAll(/https:\/\/github\.com\/[\w-]+\/[\w-]+/g)].map(([link]) => link);
    expect(links.length, name).toBeGreaterThan(0);
    expect(new Set(links), name).toEqual(new Set([own]));
  }
});
