import { execFileSync } from "node:child_process";
import { statfsSync } from "node:fs";
import { cpus, loadavg, release, tmpdir, totalmem } from "node:os";

/** Where and of what the figures are, in one line. */
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
        cwd: import.meta.dirname,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }).trim();
    const changed = git("status", "--porcelain", "--untracked-files=no", "../src", "../bench", "../gen") !== "";
    return `${git("rev-parse", "--short", "HEAD")}${changed ? " with changes" : ""}`;
  } catch {
    return "unknown";
  }
}

/** How many files one process may have open: Node raises its own limit to this, the hard one. */
export function fileLimit(): number {
  const text = execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
  return text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text);
}

/** The type of tmpfs in statfs(2). */
const tmpfs = 0x01021994;

/** What makes figures of this machine doubtful just now, a sentence each. */
export function doubts(): string[] {
  const [load] = loadavg() as [number];
  const found: string[] = [];
  if (load > 0.5) found.push(`Other programs are busy (load ${load.toFixed(1)}): figures are noise.`);
  if (statfsSync(tmpdir()).type === tmpfs) {
    found.push(`${tmpdir()} is in memory, so nothing is durable: set TMPDIR to a folder on a disk.`);
  }
  return found;
}
