/** The process of an attacker: finds its attack by name, prepares it, and runs it until its parent ends it. */
import { Answers } from "./answers.ts";
import type { Attack, Attacker } from "./attack.ts";
import { attacks, proofs } from "./attacks/index.ts";
import { serve } from "./process.ts";

const [name, url = ""] = process.argv.slice(2);
const attack = [...attacks, ...Object.values(proofs)].find((each) => each.name === name) as Attack;
const ending = new AbortController();
const answers = new Answers();
const attacker: Attacker = { url, port: Number(new URL(url).port), answers, signal: ending.signal };

// The server may cut any connection of an attacker at any time, which is no mistake of the suite.
process.on("uncaughtException", (error: NodeJS.ErrnoException) => {
  if (!/^(ECONN|EPIPE|ERR_HTTP2|ERR_STREAM|UND_ERR)/.test(error.code ?? "")) throw error;
});

serve({
  prepare: async () => {
    await attack.prepare?.(attacker);
    return true;
  },
  run: async () => {
    await attack.run(attacker);
    return answers.counts;
  },
  end: () => void ending.abort(),
});
