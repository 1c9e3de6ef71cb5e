/** Paths that documents and comments name. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../support/run.ts";

const documents = ["*.md", "docs/*.md", "{src,test,bench,scripts,examples}/**/*.ts", "proto/**/*.proto"];
const named = /(?<![\w/.-])(?:src|test|bench|docs|scripts|examples|deploy)\/[\w./-]+\.(?:ts|md|proto|yaml)(?![\w/])/g;

test("Every file of the repository that a document or a comment names exists", () => {
  const files = globSync(documents, { cwd: root, exclude: ["**/gen/**", "**/node_modules/**"] });
  expect(files.length).toBeGreaterThan(500);
  for (const file of files) {
    const text = readFileSync(join(root, file), "utf8");
    const missing = [...text.matchAll(named)].map(([path]) => path).filter((path) => !existsSync(join(root, path)));
    expect.soft(missing, file).toEqual([]);
  }
});

test("Every source file that ARCHITECTURE.md names without its folder src exists", () => {
  const text = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
  const paths = [...text.matchAll(/`([a-z-]+\/[\w./-]+\.ts)`/g)].map(([, path]) => path as string);
  expect(paths.length).toBeGreaterThan(30);
  const missing = paths.filter((path) => !existsSync(join(root, "src", path)) && !existsSync(join(root, path)));
  expect(missing).toEqual([]);
});
