/** The sources of the keys that verify tokens. */
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
  readonly material: CryptoKey | Uint8Array;
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

/** The secrets of HS256. Each of them verifies tokens, so that a secret can be replaced before its tokens expire. */
export class SecretKeys implements KeySource {
  readonly #keys: readonly VerificationKey[];

  constructor(secrets: readonly string[]) {
    const encoder = new TextEncoder();
    this.#keys = secrets.map((secret) => ({ alg: "HS256", material: encoder.encode(secret), withdrawn: false }));
  }

  async find({ alg }: TokenHeader): Promise<readonly VerificationKey[]> {
    return alg === "HS256" ? this.#keys : [];
  }

  isCurrent(): boolean {
    return true;
  }

  async update(): Promise<void> {}

  close(): void {}
}
