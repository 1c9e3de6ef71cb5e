import { spawn } from "node:child_process";

/** The deadline of the client for its token function, in ms. */
const timeoutMs = 30_000;
/** More is no token. */
const maxBytes = 1 << 20;

/**
 * Runs a command in the shell of the machine and returns what it prints on stdout. Its stderr is that of this process, and so
 * is its stdin if `stdin` is `inherit`, so that it can ask its user to sign in; with `ignore` its stdin is empty. Rejects when
 * it exits with a failure, prints more than 1 MiB, or takes longer than 30 s; the errors do not quote the command, which may
 * hold a secret.
 */
export function runShell(command: string, stdin: "inherit" | "ignore"): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn(command, { shell: true, stdio: [stdin, "pipe", "inherit"] });
  const output: Buffer[] = [];
  let bytes = 0;
  const stop = (sentence: string) => {
    reject(new Error(sentence));
    child.kill();
    // What the shell has started may live on and hold the pipe.
    child.stdout.destroy();
  };
  const timer = setTimeout(() => stop("the command took longer than 30 s"), timeoutMs);
  child.stdout.on("data", (chunk: Buffer) => {
    output.push(chunk);
    bytes += chunk.length;
    if (bytes > maxBytes) stop("the command printed more than 1 MiB");
  });
  child.on("error", ({ message }) => reject(new Error(`the command cannot be run: ${message}`)));
  child.on("close", (code, signal) => {
    if (code === 0) resolve(Buffer.concat(output).toString());
    else reject(new Error(`the command ${code === null ? `was ended by ${signal}` : `failed with exit code ${code}`}`));
  });
  return promise.finally(() => clearTimeout(timer));
}
