/** All attacks, in the order in which they are carried out: those with the same flags follow one another. */
import type { Attack } from "../attack.ts";
import { bodyAttacks } from "./bodies.ts";
import { connectionAttacks, slowHeaders, someResets } from "./connections.ts";
import { feedAttacks } from "./feeds.ts";
import { inboxAttacks } from "./inbox.ts";
import { slowAttacks } from "./slow.ts";
import { streamAttacks } from "./streams.ts";
import { tokenAttacks } from "./tokens.ts";

export const attacks: readonly Attack[] = [
  ...connectionAttacks,
  ...bodyAttacks,
  ...slowAttacks,
  ...inboxAttacks,
  ...streamAttacks,
  ...feedAttacks,
  ...tokenAttacks,
];

/** Attacks that show, without the limit that stops them, that the checks can fail. */
export const proofs = { slowHeaders, someResets };
