/** A JSON Web Key Set (RFC 7517), fetched from the issuer of the tokens and kept up to date. */
import { importJWK, type JWK } from "jose";
import type { Logger } from "pino";
import { fail } from "../errors.ts";
import { type Clock, elapsedOn, type Random, type Timer } from "../ports/clock.ts";
import { backoffMs } from "../util/backoff.ts";
import type { KeySource, TokenHeader, VerificationKey } from "./key-source.ts";

/** The longest response. A key takes 100 to 500 bytes, so a larger set is a mistake or an attack on memory. */
const maxResponseBytes = 64 * 1024;
/** Time from the request to the last byte of the response. */
const fetchTimeoutMs = 5_000;
/**
 * The shortest time from one fetch to the next one that a token causes: anybody can send tokens with invented key ids, and
 * these must not become load on the key server. A key that is used within this time of its publication may be refused.
 */
const cooldownMs = 10_000;
/** The same after a failed fetch, because tokens may be refused until the next. */
const retryMs = 1_000;
/** Waits between background fetches after a failed one. */
const retryTimes = { baseMs: 1_000, capMs: 30_000 };
/** The least that RFC 7518 section 3.3 allows; a shorter key can be factored. */
const minRsaBits = 2048;

/** The algorithms by type of key (`kty`) and curve. All are asymmetric: a key set is public. */
const algorithmsOf: ReadonlyMap<string, readonly string[]> = new Map([
  ["RSA", ["RS256", "PS256"]],
  ["EC P-256", ["ES256"]],
  ["OKP Ed25519", ["EdDSA"]],
]);

/** A key of the set. */
interface PublicKey extends VerificationKey {
  /** Identifies the key: the algorithm, the `kid`, and the members of the thumbprint (RFC 7638). */
  readonly id: string;
  readonly kid: string | undefined;
  withdrawn: boolean;
}

/** Options of a KeySet, all times in ms. */
export interface KeySetOptions {
  /** The URL of the set. */
  readonly url: string;
  /** Interval of fetches in the background. */
  readonly refreshMs: number;
  /** How long the last known set is used while it cannot be fetched. */
  readonly maxStaleMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger | undefined;
  /** Called after keys were withdrawn. */
  readonly withdrawn: () => void;
}

/** The state of a key set, for operators. */
export interface KeySetFigures {
  /** Seconds since the last good fetch, or since the start. */
  readonly age: number;
  /** Failed fetches so far. */
  readonly failures: number;
}

/**
 * The key set behind a URL. It is fetched at the start, then at an interval, and when a token names an unknown key; one
 * fetch is in flight at a time, and callers that need its result share it. A key that is missing from a fetched set is
 * withdrawn at that moment. While the set cannot be fetched, the last known one is used for `maxStaleMs`: long enough to
 * notice and end an outage of the key server, and short enough that a leaked key stops working even if an attacker blocks
 * the fetches that would show its withdrawal.
 */
export class KeySet implements KeySource {
  readonly #options: KeySetOptions;
  readonly #startedAt: number;
  readonly #closing = new AbortController();
  #keys: readonly PublicKey[] = [];
  /** The ids of keys that cannot be imported, so that each is reported once. */
  #unusable: ReadonlySet<string> = new Set();
  /** When the last successful request was sent. */
  #fetchedAt: number | undefined;
  /** When the last request was sent. */
  #attemptedAt: number | undefined;
  #fetching: Promise<void> | undefined;
  /** The error of the last fetch, undefined if it succeeded. */
  #problem: Error | undefined;
  /** Failed fetches since the last successful one, and all of them. */
  #failuresInRow = 0;
  #failures = 0;
  #timer: Timer | undefined;

  /** Starts the first fetch. */
  constructor(options: KeySetOptions) {
    this.#options = options;
    this.#startedAt = elapsedOn(options.clock);
    void this.#refresh();
  }

  /** The state of the set now. */
  get figures(): KeySetFigures {
    const since = this.#fetchedAt ?? this.#startedAt;
    return { age: Math.max(0, elapsedOn(this.#options.clock) - since) / 1000, failures: this.#failures };
  }

  async find(header: TokenHeader): Promise<readonly VerificationKey[]> {
    if (!this.isCurrent(elapsedOn(this.#options.clock))) await this.update();
    const known = this.#match(header);
    if (known.length > 0 || !this.#mayFetch()) return this.#knownOrFail(known);
    await this.#refresh();
    return this.#knownOrFail(this.#match(header));
  }

  isCurrent(now: number): boolean {
    return this.#fetchedAt !== undefined && now - this.#fetchedAt <= this.#options.maxStaleMs;
  }

  async update(): Promise<void> {
    if (this.#mayFetch()) await this.#refresh();
    if (!this.isCurrent(elapsedOn(this.#options.clock))) throw this.#unavailable();
  }

  close(): void {
    this.#timer?.cancel();
    this.#closing.abort();
  }

  /** Throws for an unknown key while the set cannot be fetched, because the key may be new. */
  #knownOrFail(keys: readonly PublicKey[]): readonly PublicKey[] {
    if (keys.length === 0 && this.#problem) throw this.#unavailable();
    return keys;
  }

  #match({ alg, kid }: TokenHeader): readonly PublicKey[] {
    return this.#keys.filter((key) => key.alg === alg && (kid === undefined || key.kid === kid));
  }

  /** Whether a token may cause a fetch now, or wait for the one in flight. */
  #mayFetch(): boolean {
    // While fetches fail, fail callers at once instead of queueing them behind the next fetch.
    if (this.#fetching) return this.#problem === undefined;
    if (this.#attemptedAt === undefined) return true;
    const elapsed = elapsedOn(this.#options.clock) - this.#attemptedAt;
    return elapsed >= (this.#problem ? retryMs : cooldownMs);
  }

  #refresh(): Promise<void> {
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  /** Never rejects: the error is in #problem. */
  async #fetch(): Promise<void> {
    const { clock, random, url, refreshMs } = this.#options;
    this.#timer?.cancel();
    const sentAt = elapsedOn(clock);
    this.#attemptedAt = sentAt;
    try {
      await this.#replace(await fetchKeySet(url, this.#closing.signal));
      this.#fetchedAt = sentAt;
      this.#failuresInRow = 0;
      this.#problem = undefined;
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#failed(error as Error);
    }
    if (this.#closing.signal.aborted) return;
    // Jitter keeps nodes that started together from fetching together.
    const wait = this.#problem
      ? Math.min(refreshMs, retryMs + backoffMs(retryTimes, this.#failuresInRow, random.fraction()))
      : refreshMs * (1 - random.fraction() / 5);
    this.#timer = clock.after(wait, () => void this.#refresh());
  }

  #failed(error: Error): void {
    this.#problem = error;
    this.#failures++;
    this.#failuresInRow++;
    const { age } = this.figures;
    const sentence =
      this.#fetchedAt === undefined
        ? "the key set cannot be fetched, so no token can be verified"
        : "the key set cannot be fetched; the last known keys are used for now";
    this.#options.logger?.warn({ err: error, ageSeconds: Math.round(age) }, sentence);
  }

  async #replace(jwks: readonly unknown[]): Promise<void> {
    const before = new Map(this.#keys.map((key) => [key.id, key]));
    const after = new Map<string, PublicKey>();
    const unusable = new Set<string>();
    for (const described of jwks.flatMap(describe)) {
      const key = before.get(described.id) ?? (await this.#import(described));
      if (key) after.set(described.id, key);
      else unusable.add(described.id);
    }
    this.#keys = [...after.values()];
    this.#unusable = unusable;
    const withdrawn = [...before.values()].filter((key) => !after.has(key.id));
    if (withdrawn.length === 0) return;
    for (const key of withdrawn) key.withdrawn = true;
    this.#options.logger?.info(
      { kids: withdrawn.map(({ kid }) => kid ?? null) },
      "keys were withdrawn from the key set",
    );
    this.#options.withdrawn();
  }

  async #import({ id, kid, alg, jwk }: DescribedKey): Promise<PublicKey | undefined> {
    if (this.#unusable.has(id)) return undefined;
    try {
      const material = await importJWK(jwk, alg);
      if (material instanceof Uint8Array || material.type !== "public") throw new Error("it is not a public key");
      const { modulusLength = minRsaBits } = material.algorithm as { modulusLength?: number };
      if (modulusLength < minRsaBits) throw new Error(`it has ${modulusLength} bits; use ${minRsaBits} or more`);
      return { id, kid, alg, material, withdrawn: false };
    } catch (error) {
      this.#options.logger?.warn({ err: error, kid: kid ?? null }, "a key of the key set is not used");
      return undefined;
    }
  }

  #unavailable(): Error {
    return fail("KEYS_UNAVAILABLE", "the key set of the tokens cannot be fetched now; repeat the request", {
      cause: this.#problem,
      retryAfterMs: retryMs,
    });
  }
}

/** A key as the set describes it, before it is imported. */
interface DescribedKey {
  readonly id: string;
  readonly kid: string | undefined;
  readonly alg: string;
  readonly jwk: JWK;
}

/** Returns a key for each algorithm that a member of a set verifies: none for a key of another use. */
function describe(jwk: unknown): DescribedKey[] {
  if (typeof jwk !== "object" || jwk === null) return [];
  const { kty, crv, kid, alg, use, key_ops: operations, n, e, x, y } = jwk as Readonly<Record<string, unknown>>;
  if (use !== undefined && use !== "sig") return [];
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) return [];
  const algorithms = algorithmsOf.get(kty === "RSA" ? kty : `${kty} ${crv}`) ?? [];
  return algorithms
    .filter((each) => alg === undefined || alg === each)
    .map((each) => ({
      id: JSON.stringify([each, kid, kty, crv, n, e, x, y]),
      kid: typeof kid === "string" ? kid : undefined,
      alg: each,
      jwk: jwk as JWK,
    }));
}

/** Fetches the keys of a set. Redirects are not followed: they could lead away from https, or into the server's network. */
async function fetchKeySet(url: string, closing: AbortSignal): Promise<readonly unknown[]> {
  const timeout = AbortSignal.timeout(fetchTimeoutMs);
  try {
    const response = await fetch(url, {
      headers: { accept: "application/jwk-set+json, application/json" },
      redirect: "manual",
      signal: AbortSignal.any([timeout, closing]),
    });
    if (response.status !== 200) {
      // An unread body would hold its connection.
      await response.body?.cancel();
      throw new Error(`the key server responded with ${response.status} instead of 200`);
    }
    const { keys } = Object(JSON.parse(await readText(response))) as { keys?: unknown };
    if (!Array.isArray(keys)) throw new Error("the key server's response has no list `keys`");
    return keys;
  } catch (error) {
    if (timeout.aborted) throw new Error(`the key server took more than ${fetchTimeoutMs} ms`, { cause: error });
    if (error instanceof SyntaxError) throw new Error("the key server did not respond with JSON", { cause: error });
    throw error;
  }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength;
    if (length > maxResponseBytes) throw new Error(`the key server sent more than ${maxResponseBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
