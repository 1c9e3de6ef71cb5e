/**
 * The size of V8's young generation. Its two semi-spaces grow in a burst of allocation, such as the opening of many streams,
 * and stay resident although idle streams do not need them. With Node's default of 16 MB each, they are half of the resident
 * memory of 5,000 idle streams.
 */

const flag = "--max-semi-space-size";

/** The parts of `process` that are needed to start Node again. */
export interface NodeProcess {
  readonly execPath: string;
  readonly execArgv: readonly string[];
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Whether the process has a channel to its parent, which would be closed. */
  readonly connected?: boolean;
  /** Undefined on Windows. */
  execve?(file: string, args?: readonly string[], env?: NodeJS.ProcessEnv): unknown;
}

/** The flag that limits each semi-space to `megabytes`; none for 0, and none if the flags of the process have a limit. */
export function semiSpaceFlags(megabytes: number, { execArgv, env }: Pick<NodeProcess, "execArgv" | "env">): string[] {
  return megabytes === 0 || hasFlag(flag, { execArgv, env }) ? [] : [`${flag}=${megabytes}`];
}

/** Whether Node was started with a flag of V8, which takes dashes and underscores alike. */
export function hasFlag(name: string, { execArgv, env }: Pick<NodeProcess, "execArgv" | "env">): boolean {
  const given = [...execArgv, ...(env.NODE_OPTIONS ?? "").split(/\s+/)];
  return given.some((each) => each.replaceAll("_", "-").split("=", 1)[0] === name);
}

/**
 * Limits the semi-spaces of this process. V8 reads the limit when it creates the heap, so the process replaces itself by the
 * same command line with the flag. Its id, input and output stay, and other descriptors are closed. Returns if the limit is in
 * effect, or cannot be set: on Windows, and in a process with a channel to its parent.
 */
export function limitSemiSpace(megabytes: number, node: NodeProcess): void {
  const flags = semiSpaceFlags(megabytes, node);
  if (flags.length === 0 || node.connected) return;
  try {
    node.execve?.(node.execPath, [node.execPath, ...node.execArgv, ...flags, ...node.argv.slice(1)], node.env);
  } catch {
    // Node's permission model may forbid it. Serve with the default then.
  }
}
