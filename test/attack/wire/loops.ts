/** Loops of attackers. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Attacker } from "../attack.ts";

/** Runs `work` in several loops at once until the attack is to end. */
export async function repeat(
  { signal }: Attacker,
  loops: number,
  work: (loop: number) => Promise<unknown>,
): Promise<void> {
  await Promise.all(
    Array.from({ length: loops }, async (_, loop) => {
      while (!signal.aborted) await work(loop);
    }),
  );
}

/** Waits until the attack is to end. */
export async function untilEnd({ signal }: Attacker): Promise<void> {
  await sleep(2 ** 31 - 1, undefined, { signal }).catch(() => {});
}

/** Waits until `condition` holds, at most until `ms` have passed after the end of the attack. */
export async function settle(condition: () => boolean, ms: number): Promise<void> {
  const end = performance.now() + ms;
  while (!condition() && performance.now() < end) await sleep(20);
}
