import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { breakingChanges, lastRelease } from "../../scripts/breaking.ts";
import { root } from "../support/run.ts";

let repository: string;
beforeEach(() => {
  repository = mkdtempSync(join(tmpdir(), "tidings-release-"));
  mkdirSync(join(repository, "gen"));
  cpSync(join(root, "gen/descriptor.binpb"), join(repository, "gen/descriptor.binpb"));
  git("init", "--quiet");
  commit();
});
afterEach(() => rmSync(repository, { recursive: true }));

function git(...args: string[]): void {
  const author = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
  execFileSync("git", [...author, ...args], { cwd: repository, stdio: "pipe" });
}

function commit(): void {
  git("add", "--all");
  git("commit", "--quiet", "--allow-empty", "--message", "a change");
}

/** Renames a field of the contract. */
function rename(message: string, field: string): void {
  const path = join(repository, "gen/descriptor.binpb");
  const set = fromBinary(FileDescriptorSetSchema, readFileSync(path));
  const found = set.file.flatMap(({ messageType }) => messageType).find(({ name }) => name === message);
  for (const each of found?.field ?? []) if (each.name === field) each.name = `${field}_of_old`;
  writeFileSync(path, toBinary(FileDescriptorSetSchema, set));
}

describe("The last release", () => {
  test("does not exist before the first one", () => {
    expect(lastRelease(repository)).toBeUndefined();
  });

  test("is the highest version before this commit, whose own tag does not count", () => {
    for (const version of ["v0.9.0", "v0.10.0"]) {
      git("tag", version);
      commit();
    }
    git("tag", "deployed");
    git("tag", "v1.0.0");
    expect(lastRelease(repository)).toBe("v0.10.0");
    commit();
    expect(lastRelease(repository)).toBe("v1.0.0");
  });

  test("cannot be found in a shallow clone without tags", () => {
    commit();
    const shallow = join(repository, "shallow");
    git("clone", "--quiet", "--depth", "1", `file://${repository}`, shallow);
    expect(() => lastRelease(shallow)).toThrow("git fetch --tags");
  });
});

describe("The breaking changes since a release", () => {
  beforeEach(() => {
    git("tag", "v1.0.0");
    commit();
  });

  test("are none while the contract is the same", () => {
    expect(breakingChanges(repository, "v1.0.0")).toEqual([]);
  });

  test("include a field that was renamed", () => {
    rename("ListUnreadRequest", "actor_id");
    expect(breakingChanges(repository, "v1.0.0").join("\n")).toContain(
      'Field "2" on message "ListUnreadRequest" changed name from "actor_id" to "actor_id_of_old"',
    );
  });

  test("do not include changes of other packages", () => {
    rename("HealthCheckRequest", "service");
    expect(breakingChanges(repository, "v1.0.0")).toEqual([]);
  });

  test("cannot be found for a release that has no contract", () => {
    expect(() => breakingChanges(repository, "v0.0.0")).toThrow();
  });
});
