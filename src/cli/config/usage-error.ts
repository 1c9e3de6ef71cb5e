/** A command line or a configuration that is wrong: exit code 2. The message names the option and what it accepts. */
export class UsageError extends Error {
  /** The command whose help explains more; undefined for the general help. */
  readonly command: string | undefined;

  constructor(message: string, command?: string) {
    super(message);
    this.name = "UsageError";
    this.command = command;
  }
}
