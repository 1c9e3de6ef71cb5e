/** Projects of users, who install the packages from npm. */
import { execFile, execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { inject } from "vitest";
import { type Manifest, type PackageName, packageNames } from "../../scripts/manifests.ts";
import { root } from "./run.ts";

/** A package as `npm pack` made it. */
export interface Packed {
  /** The path of the tarball. */
  readonly tarball: string;
  /** Paths of the files in it. */
  readonly files: readonly string[];
}

/** Whether tests of the packages run as a whole, by `npm run test:package`. */
export const packagesWhole = process.env.TIDINGS_TEST_PACKAGE === "whole";

/** What a project installs. */
export interface ConsumerOptions {
  /** Default: both. */
  readonly packages?: readonly PackageName[];
}

/**
 * A project with the packages installed as npm would: with their dependencies and without their optional peers. The
 * dependencies are copied from the repository's node_modules, so that no test needs a registry. Drivers and tools are
 * linked, since they are no part of what a package brings.
 */
export class Consumer {
  readonly folder = mkdtempSync(join(tmpdir(), "tidings-consumer-"));
  readonly #modules = join(this.folder, "node_modules");

  constructor({ packages = packageNames }: ConsumerOptions = {}) {
    for (const name of packages) {
      const folder = join(this.#modules, name);
      mkdirSync(folder, { recursive: true });
      execFileSync("tar", ["-xzf", pack(inject("runFolder"))[name].tarball, "--strip-components=1", "-C", folder]);
      this.#installDependencies(folder);
      this.#linkPrograms(folder);
    }
    this.write("package.json", JSON.stringify({ name: "consumer", type: "module", private: true }));
  }

  /** Links a package of the repository that tests need. */
  link(...names: readonly string[]): this {
    for (const name of names) {
      mkdirSync(dirname(join(this.#modules, name)), { recursive: true });
      symlinkSync(join(root, "node_modules", name), join(this.#modules, name));
    }
    return this;
  }

  /** Undoes `link`. */
  unlink(name: string): void {
    rmSync(join(this.#modules, name));
  }

  /** Names of all installed packages, sorted. */
  get installed(): string[] {
    const names = readdirSync(this.#modules).filter((name) => !name.startsWith("."));
    return names
      .flatMap((name) =>
        name.startsWith("@") ? readdirSync(join(this.#modules, name)).map((inner) => `${name}/${inner}`) : [name],
      )
      .sort();
  }

  /** Bytes of all files in node_modules. */
  get size(): number {
    const paths = readdirSync(this.#modules, { recursive: true, encoding: "utf8" });
    return paths.reduce((sum, path) => sum + lstatSync(join(this.#modules, path)).size, 0);
  }

  /** Writes a file of the project and returns its path. */
  write(name: string, text: string): string {
    const file = join(this.folder, name);
    writeFileSync(file, text);
    return file;
  }

  /**
   * Runs `node`, a program that the project has installed, or else one of the repository. Returns its standard output.
   * Rejects with all of its output when it fails.
   */
  async run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    const modules = existsSync(join(this.#modules, ".bin", program)) ? this.#modules : join(root, "node_modules");
    // Started by this Node, not by the one on PATH that the first line of the program asks for.
    const script = program === "node" ? [] : [join(modules, ".bin", program)];
    try {
      const { stdout } = await promisify(execFile)(process.execPath, [...script, ...args], {
        cwd: this.folder,
        env: { ...process.env, ...env },
        timeout: 180_000,
      });
      return stdout;
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string };
      throw new Error(`${program} ${args.join(" ")}\n${stdout}${stderr}`, { cause: error });
    }
  }

  /** Checks the types of files as strictly as tsc can, with the declarations of packages unless `skipLibCheck` is given. */
  async check(
    resolution: "nodenext" | "bundler",
    files: readonly string[],
    ...flags: readonly string[]
  ): Promise<void> {
    await this.run("tsc", [
      ...["--noEmit", "--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"],
      ...["--target", "es2024", "--lib", "es2024,esnext.disposable,dom,dom.iterable,dom.asynciterable"],
      ...["--module", resolution === "nodenext" ? "nodenext" : "esnext", "--moduleResolution", resolution],
      ...flags,
      ...files,
    ]);
  }

  /** Removes the project. */
  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #installDependencies(folder: string, from = root): void {
    const { dependencies, peerDependencies, peerDependenciesMeta } = readManifest(folder);
    const peers = Object.keys(peerDependencies ?? {}).filter((name) => !peerDependenciesMeta?.[name]?.optional);
    for (const name of [...Object.keys(dependencies ?? {}), ...peers]) this.#install(name, from);
  }

  /** Copies a package that a folder of the repository resolves by name. Nested packages come along with their parents. */
  #install(name: string, from: string): void {
    const source = resolvePackage(name, from);
    const target = join(this.#modules, name);
    if (source === join(root, "node_modules", name)) {
      if (existsSync(target)) return;
      cpSync(source, target, { recursive: true });
    }
    this.#installDependencies(source, source);
  }

  #linkPrograms(folder: string): void {
    const bin = join(this.#modules, ".bin");
    mkdirSync(bin, { recursive: true });
    for (const [name, path] of Object.entries(readManifest(folder).bin ?? {}))
      symlinkSync(resolve(folder, path), join(bin, name));
  }
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}

/** As Node does: the nearest node_modules that has it. */
function resolvePackage(name: string, from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(candidate)) return candidate;
    if (folder === dirname(folder)) throw new Error(`${from} cannot resolve ${name}`);
  }
}

/** Builds and packs both packages, unless another test file of this run has. */
export function pack(folder: string): Readonly<Record<PackageName, Packed>> {
  return oneAtATime(() => {
    const done = join(folder, "packed.json");
    if (existsSync(done)) return JSON.parse(readFileSync(done, "utf8")) as Record<PackageName, Packed>;
    execFileSync(process.execPath, ["scripts/build.ts"], { cwd: root });
    const folders = packageNames.map((name) => `./dist/${name}`);
    const args = ["pack", "--json", "--pack-destination", folder, ...folders];
    const tarballs = Object.values(
      // npm 10 prints a list, later versions an object by package name.
      JSON.parse(execFileSync("npm", args, { cwd: root, encoding: "utf8" })) as Record<
        string,
        { name: PackageName; filename: string; files: { path: string }[] }
      >,
    );
    const packed: Partial<Record<PackageName, Packed>> = {};
    for (const { name, filename, files } of tarballs)
      packed[name] = { tarball: join(folder, filename), files: files.map(({ path }) => path) };
    writeFileSync(done, JSON.stringify(packed));
    return packed as Record<PackageName, Packed>;
  });
}

/** Building replaces dist/, and test files run in parallel. The lock of a database is released when its process dies. */
function oneAtATime<Result>(run: () => Result): Result {
  const lock = new DatabaseSync(join(root, "node_modules/.pack-lock"), { timeout: 180_000 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return run();
  } finally {
    lock.close();
  }
}
