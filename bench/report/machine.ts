import { execFileSync } from "node:child_process";
import { statfsSync } from "node:fs";
import { cpus, loadavg, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** One line with the machine, its software, the commit and the date of a run. */
export function machineLine(): string {
  const [cpu] = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  const date = new Date().toISOString().slice(0, 10);
  return `${cpus().length} × ${cpu?.model.trim()}, ${memory}, Linux ${release()}, Node ${process.version}, commit ${commit()}, ${date}`;
}

function commit(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync("git", args, {
        cwd: root,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }).trim();
    const changed = git("status", "--porcelain", "--untracked-files=no", "src", "bench", "gen") !== "";
    return `${git("rev-parse", "--short", "HEAD")}${changed ? " with changes" : ""}`;
  } catch {
    return "unknown";
  }
}

/** Files that a process has open apart from its connections. */
const otherFiles = 100;

/** How many connections one process can have: the hard limit of open files, to which Node raises its own, less a reserve. */
export function connectionLimit(): number {
  const text = execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
  return text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text) - otherFiles;
}

/** The type of tmpfs in statfs(2). */
const tmpfs = 0x01021994;

/** Warnings about conditions that make the figures of a run unreliable, one sentence each. */
export function warnings(): string[] {
  const [load] = loadavg() as [number];
  const found: string[] = [];
  if (load > 0.5) found.push(`Other programs use the CPU (load ${load.toFixed(1)}): the figures are unreliable.`);
  if (statfsSync(tmpdir()).type === tmpfs) {
    found.push(`${tmpdir()} is in memory, so nothing is durable: set TMPDIR to a folder on a disk.`);
  }
  return found;
}
