/** The sources of the keys that verify tokens. */
import { createSecretKey, type KeyObject } from "node:crypto";
import type { SigningKey } from "./identity.ts";

/** The members of a token's header that select its key. */
export interface TokenHeader {
  readonly alg: string;
  /** The id of the key (`kid`), undefined for a token that names none. */
  readonly kid: string | undefined;
}

/** A key, bound to one algorithm, so that a token cannot choose another one for it. */
export interface VerificationKey extends SigningKey {
  readonly alg: string;
  /** A KeyObject for a secret, a CryptoKey for a public key. */
  readonly material: CryptoKey | KeyObject;
}

/** A source of keys: the configured secrets, or a key set that is fetched. */
export interface KeySource {
  /**
   * Returns the keys that may have signed a token with this header, and none if all keys are known and none matches.
   * Throws KEYS_UNAVAILABLE when that cannot be determined now.
   */
  find(header: TokenHeader): Promise<readonly VerificationKey[]>;
  /** Whether the source knows at `now`, in the elapsed time of the clock, which keys are withdrawn; if not, await `update`. */
  isCurrent(now: number): boolean;
  /** Makes the source current. Throws KEYS_UNAVAILABLE. */
  update(): Promise<void>;
  /** Cancels timers and requests. */
  close(): void;
}

/** The key of one secret. */
interface SecretKey extends VerificationKey {
  withdrawn: boolean;
}

/** The secrets of HS256. Each of them verifies tokens, so that a secret can be replaced before its tokens expire. */
export class SecretKeys implements KeySource {
  #keys: ReadonlyMap<string, SecretKey>;

  constructor(secrets: readonly string[]) {
    this.#keys = new Map(secrets.map((secret) => [secret, keyOf(secret)]));
  }

  /** Verifies with these secrets from now on. Returns whether a former one is withdrawn. */
  replace(secrets: readonly string[]): boolean {
    const former = this.#keys;
    // A secret that stays keeps its key, and with it the streams whose tokens it signed.
    this.#keys = new Map(secrets.map((secret) => [secret, former.get(secret) ?? keyOf(secret)]));
    const withdrawn = [...former].filter(([secret]) => !this.#keys.has(secret));
    for (const [, key] of withdrawn) key.withdrawn = true;
    return withdrawn.length > 0;
  }

  async find({ alg }: TokenHeader): Promise<readonly VerificationKey[]> {
    return alg === "HS256" ? [...this.#keys.values()] : [];
  }

  isCurrent(): boolean {
    return true;
  }

  async update(): Promise<void> {}

  close(): void {}
}

function keyOf(secret: string): SecretKey {
  return { alg: "HS256", material: createSecretKey(secret, "utf8"), withdrawn: false };
}
