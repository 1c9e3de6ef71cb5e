import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFolder } from "../../src/util/create-folder.ts";

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tidings-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("createFolder creates the missing folders above, and leaves an existing one as it is", () => {
  const folder = join(root, "a", "b");
  createFolder(folder, 0o700);
  createFolder(folder, 0o755);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
});

test("createFolder throws where a file is in the way", () => {
  writeFileSync(join(root, "file"), "");
  expect(() => createFolder(join(root, "file"), 0o700)).toThrow("EEXIST");
  expect(() => createFolder(join(root, "file", "x"), 0o700)).toThrow("EEXIST");
});

test.runIf(existsSync("/proc/self"))("createFolder throws where the system takes no new folders", () => {
  expect(() => createFolder("/proc/tidings/data", 0o700)).toThrow("ENOENT");
});
