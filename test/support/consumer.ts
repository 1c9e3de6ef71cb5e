import { execFile, execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { inject } from "vitest";

const root = join(import.meta.dirname, "../..");

/** A project of somebody who installed the package: what `npm pack` ships, beside the packages that npm would add. */
export class Consumer {
  readonly folder = mkdtempSync(join(tmpdir(), "tidings-consumer-"));
  /** What the package contains. */
  readonly files: readonly string[];

  /** The file that `npm pack` wrote. */
  readonly tarball: string;

  constructor() {
    const { file, files } = pack(inject("runFolder"));
    this.tarball = file;
    this.files = files;
    execFileSync("tar", ["-xzf", file], { cwd: this.folder });
    const modules = join(this.folder, "node_modules");
    mkdirSync(modules);
    cpSync(join(this.folder, "package"), join(modules, "tidings"), { recursive: true });
    for (const name of this.#dependencies()) {
      mkdirSync(dirname(join(modules, name)), { recursive: true });
      symlinkSync(join(root, "node_modules", name), join(modules, name));
    }
    this.write("package.json", JSON.stringify({ name: "consumer", type: "module", private: true }));
  }

  write(name: string, text: string): string {
    const file = join(this.folder, name);
    writeFileSync(file, text);
    return file;
  }

  /** Runs a program of the repository's node_modules; its output. Throws with the output when it fails. */
  async run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    const file = program === "node" ? process.execPath : join(root, "node_modules/.bin", program);
    try {
      const { stdout } = await promisify(execFile)(file, args, {
        cwd: this.folder,
        env: { ...process.env, ...env },
        timeout: 20_000,
      });
      return stdout;
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string };
      throw new Error(`${program} ${args.join(" ")}\n${stdout}${stderr}`, { cause: error });
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #dependencies(): readonly string[] {
    const manifest = readFileSync(join(this.folder, "package/package.json"), "utf8");
    const { dependencies, peerDependencies } = JSON.parse(manifest) as Record<string, Record<string, string>>;
    return [...Object.keys({ ...dependencies, ...peerDependencies }), "@types/node"];
  }
}

/** What `npm pack` made. */
interface Packed {
  readonly file: string;
  /** What is in it. */
  readonly files: readonly string[];
}

/** Packs, unless another test file of this run has. */
function pack(folder: string): Packed {
  return oneAtATime(() => {
    const made = join(folder, "packed.json");
    if (existsSync(made)) return JSON.parse(readFileSync(made, "utf8")) as Packed;
    const said = execFileSync("npm", ["pack", "--json", "--pack-destination", folder], { cwd: root, encoding: "utf8" });
    // npm answers with a list, newer ones with an object by package name.
    const [tarball] = Object.values(JSON.parse(said)) as [{ filename: string; files: { path: string }[] }];
    const packed = { file: join(folder, tarball.filename), files: tarball.files.map(({ path }) => path) };
    writeFileSync(made, JSON.stringify(packed));
    return packed;
  });
}

/** Packing writes dist/ anew, and test files run beside each other. A database's lock goes with whoever dies. */
function oneAtATime<Result>(run: () => Result): Result {
  const lock = new DatabaseSync(join(root, "node_modules/.pack-lock"), { timeout: 60_000 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return run();
  } finally {
    lock.close();
  }
}
