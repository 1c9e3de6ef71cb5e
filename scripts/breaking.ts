/**
 * `npm run breaking`: fails when the contract breaks what the last release promised, by the rules of buf.yaml. Both
 * sides are gen/descriptor.binpb, the release's as its tag has it, so that nothing has to be built or fetched.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const descriptors = "gen/descriptor.binpb";

/**
 * The tag of the last release before this commit, such as `v1.2.0`; `undefined` before the first. Throws in a shallow
 * clone without tags, which cannot tell.
 */
export function lastRelease(repository: string): string | undefined {
  const tags = ["tag", "--list", "v[0-9]*", "--merged", "HEAD", "--no-contains", "HEAD", "--sort", "-version:refname"];
  const [release] = git(repository, ...tags)
    .toString()
    .split("\n");
  if (release) return release;
  if (git(repository, "rev-parse", "--is-shallow-repository").toString().trim() === "true") {
    throw new Error("the clone is shallow and has no tags: fetch them with git fetch --tags --unshallow");
  }
  return undefined;
}

/** What breaks between a release and the working tree, a line each. */
export function breakingChanges(repository: string, release: string): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), "tidings-breaking-"));
  try {
    const released = join(folder, "released.binpb");
    writeFileSync(released, git(repository, "show", `${release}:${descriptors}`));
    const config = ["--config", join(root, "buf.yaml"), "--path", "tidings/v1"];
    const args = ["breaking", join(repository, descriptors), "--against", released, ...config];
    const { status, stdout, stderr } = spawnSync(join(root, "node_modules/.bin/buf"), args, { encoding: "utf8" });
    // 100 says that there are changes; what else is not 0 says that buf could not compare.
    if (status !== 0 && status !== 100) throw new Error(`buf breaking: ${stderr}`);
    return stdout.split("\n").filter(Boolean);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function git(repository: string, ...args: string[]): Buffer {
  return execFileSync("git", args, { cwd: repository, maxBuffer: 2 ** 26, stdio: ["ignore", "pipe", "pipe"] });
}

if (import.meta.main) {
  const release = lastRelease(root);
  if (release === undefined) {
    console.log("there is no release yet: nothing is promised, and nothing can break");
  } else {
    const changes = breakingChanges(root, release);
    for (const change of changes) console.error(change);
    console.log(`${changes.length} breaking changes since ${release}`);
    if (changes.length > 0) process.exitCode = 1;
  }
}
