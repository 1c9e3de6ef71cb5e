/** What an attack is: its name, what its process does, and the answers that the server must give. */
import { type Flags, tokenFor } from "../faults/server-process.ts";
import type { Answers } from "./answers.ts";

/** The server under attack. */
export interface Target {
  readonly url: string;
  readonly port: number;
}

/** What the process of an attacker works with. */
export interface Attacker extends Target {
  /** Collects the server's answers. */
  readonly answers: Answers;
  /** Aborts when the attack has lasted long enough. */
  readonly signal: AbortSignal;
}

/** One kind of attack. */
export interface Attack {
  /** What the attacker does, for the table and the name of the test. */
  readonly name: string;
  /** Flags of the server beyond its defaults. */
  readonly flags?: Flags;
  /** The tenant of the healthy client. Default `acme`, in which the attacks of users take place. */
  readonly healthyTenant?: string;
  /** How long the attack lasts at least, in ms, where the short form is too short for what the server does about it. */
  readonly leastMs?: number;
  /** Verify tokens by a key set, whose server counts how often it is asked. Default: by a secret. */
  readonly byKeySet?: boolean;
  /** The most that an answer may occur. */
  readonly most?: Readonly<Record<string, number>>;
  /** Runs in the attacker's process before anything is measured. */
  prepare?(attacker: Attacker): Promise<void>;
  /** Runs in the attacker's process. Connections that it leaves open are cut when the attack is over. */
  run(attacker: Attacker): Promise<void>;
  /** The answers that the attacker must have got. */
  readonly must: readonly string[];
  /** The answers that it may have got besides. Any other answer is a failure. */
  readonly may?: readonly string[];
}

/** Mints a token of a user of the tenant `acme`. */
export function user(sub: string, claims: { rooms?: string[]; publish?: string[] } = {}): Promise<string> {
  return tokenFor({ sub, tenant: "acme", role: "user", ...claims });
}

/** Mints a token of a service of a tenant. */
export function service(tenant = "acme"): Promise<string> {
  return tokenFor({ sub: "backend", tenant, role: "service" });
}
