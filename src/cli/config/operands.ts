/** The words that commands take besides options. */
import type { CommandName } from "./settings.ts";

/** The words that follow the name of a command. */
export interface Operands {
  /** The words, as the help shows them. */
  readonly usage: string;
  /** What the first one can be. */
  readonly first: readonly string[];
  /** The largest number of words. */
  readonly most: number;
}

/** The commands that take such words; the others refuse them. */
export const operands: Readonly<Partial<Record<CommandName, Operands>>> = {
  context: { usage: "add|use|list|remove [name]", first: ["add", "use", "list", "remove"], most: 2 },
  completion: { usage: "bash|zsh|fish", first: ["bash", "zsh", "fish", "words"], most: 1 },
};
