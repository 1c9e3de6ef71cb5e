/** A command that cannot be understood: exit code 2. The sentence names the option and says what is allowed. */
export class UsageError extends Error {
  /** The command whose help explains more; unset: the whole help. */
  readonly command: string | undefined;

  constructor(message: string, command?: string) {
    super(message);
    this.name = "UsageError";
    this.command = command;
  }
}
