import { createHmac, KeyObject, timingSafeEqual } from "node:crypto";
import type { ConnectError } from "@connectrpc/connect";
import { compactVerify, decodeProtectedHeader, errors } from "jose";
import type { Logger } from "pino";
import type { AuthSettings } from "../auth-options.ts";
import { fail } from "../errors.ts";
import { type Clock, elapsedOn, type Random } from "../ports/clock.ts";
import { LruCache } from "../util/lru.ts";
import { expired, readClaims } from "./claims.ts";
import type { Identity } from "./identity.ts";
import { KeySet, type KeySetFigures } from "./key-set.ts";
import { type KeySource, SecretKeys, type TokenHeader, type VerificationKey } from "./key-source.ts";

/**
 * Verifies a JWT and returns the identity of its bearer. Rejects with TOKEN_MISSING, TOKEN_INVALID or TOKEN_EXPIRED, or
 * with KEYS_UNAVAILABLE when the key set cannot be fetched.
 */
export type Authenticate = (token: string | undefined) => Promise<Identity>;

/** Limits of the cache of verified tokens: verifying costs 50 µs, and a caller sends the same token with every call. */
const maxCachedTokens = 10_000;
/** A limit in characters, because a token may be as long as a header. */
const maxCachedCharacters = 16 * 1024 * 1024;

/** The dependencies of a TokenVerifier. */
export interface VerifierParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger?: Logger | undefined;
  /** Called after keys were withdrawn, to end the streams whose tokens they signed. */
  readonly withdrawn?: () => void;
}

interface CachedToken {
  readonly identity: Identity;
  readonly characters: number;
}

/**
 * The check that every call passes before its body is read. Verified tokens are cached with the key that signed them, and
 * leave the cache when it is withdrawn.
 */
export class TokenVerifier {
  readonly #settings: AuthSettings;
  readonly #clock: Clock;
  readonly #keys: KeySource;
  readonly #keySet: KeySet | undefined;
  readonly #secretKeys: SecretKeys | undefined;
  readonly #withdrawn: () => void;
  readonly #cached = new LruCache<string, CachedToken>({
    entries: maxCachedTokens,
    cost: maxCachedCharacters,
    costOf: ({ characters }) => characters,
  });

  constructor(settings: AuthSettings, { clock, random, logger, withdrawn = () => {} }: VerifierParts) {
    this.#settings = settings;
    this.#clock = clock;
    const { jwksUrl: url, jwksRefreshMs: refreshMs, jwksMaxStaleMs: maxStaleMs } = settings;
    this.#keySet =
      url === undefined ? undefined : new KeySet({ url, refreshMs, maxStaleMs, clock, random, logger, withdrawn });
    this.#secretKeys = this.#keySet ? undefined : new SecretKeys(settings.secrets);
    this.#keys = (this.#keySet ?? this.#secretKeys) as KeySource;
    this.#withdrawn = withdrawn;
  }

  /** Verifies with these secrets from now on. Tokens and streams of a secret that is not among them are refused and end. */
  replaceSecrets(secrets: readonly string[]): void {
    if (this.#secretKeys?.replace(secrets)) this.#withdrawn();
  }

  /** The state of the key set; undefined where tokens are verified with secrets. */
  get keySetFigures(): KeySetFigures | undefined {
    return this.#keySet?.figures;
  }

  readonly authenticate: Authenticate = async (token) => {
    if (!token) throw fail("TOKEN_MISSING", "send a JWT as `Authorization: Bearer <token>`");
    if (!this.#keys.isCurrent(elapsedOn(this.#clock))) await this.#keys.update();
    const cached = this.#cached.get(token)?.identity;
    if (cached && cached.expireTime <= this.#clock.now()) {
      this.#cached.delete(token);
      throw expired();
    }
    if (cached && !cached.key?.withdrawn) return cached;
    this.#cached.delete(token);
    const identity = await this.#verify(token);
    this.#cached.set(token, { identity, characters: token.length });
    return identity;
  };

  /** Cancels the timers and requests of the key set. */
  close(): void {
    this.#keys.close();
  }

  async #verify(token: string): Promise<Identity> {
    const keys = await this.#keys.find(readHeader(token));
    if (this.#keySet && keys.length > 1) {
      throw fail("TOKEN_INVALID", "several keys match the token; name one in its header `kid`");
    }
    for (const key of keys) {
      const payload = await verifySignature(token, key);
      if (payload) {
        // The key may have been withdrawn while the signature was being verified.
        const fault = keyFault({ key });
        if (fault) throw fault;
        return { ...readClaims(payload, this.#settings, this.#clock.now()), key };
      }
    }
    throw notSigned();
  }
}

/** Returns the error of a caller if the key that signed its token was withdrawn, or else undefined. */
export function keyFault({ key }: Pick<Identity, "key">): ConnectError | undefined {
  if (!key?.withdrawn) return undefined;
  return fail("TOKEN_INVALID", "the key that signed the token was withdrawn; get a fresh token");
}

/**
 * Returns the token of an Authorization header of the scheme Bearer (RFC 6750), undefined for any other header. Throws
 * TOKEN_INVALID for several headers, because a proxy may have checked another one than this server would take. They arrive
 * joined by commas, which neither a scheme nor a JWT contains.
 */
export function bearerToken(header: string | null): string | undefined {
  if (header?.includes(",")) {
    throw fail(
      "TOKEN_INVALID",
      "there is more than one Authorization header; send one, `Authorization: Bearer <token>`",
    );
  }
  return /^Bearer +(\S+) *$/i.exec(header ?? "")?.[1];
}

function readHeader(token: string): TokenHeader {
  let header: Readonly<Record<string, unknown>>;
  try {
    header = decodeProtectedHeader(token);
  } catch {
    throw notSigned();
  }
  const { alg, kid, crit } = header;
  // `crit` lists extensions that the verifier must understand (RFC 7515 section 4.1.11); this one understands none.
  if (typeof alg !== "string" || (kid !== undefined && typeof kid !== "string") || crit !== undefined)
    throw notSigned();
  return { alg, kid };
}

/** Returns the payload of a token that the key has signed, or undefined for any other token. */
async function verifySignature(token: string, { alg, material }: VerificationKey): Promise<Uint8Array | undefined> {
  const payload = alg === "HS256" && material instanceof KeyObject ? signedWithSecret(token, material) : undefined;
  if (payload) return payload;
  try {
    const key = material instanceof KeyObject ? material.export() : material;
    return (await compactVerify(token, key, { algorithms: [alg] })).payload;
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined;
    throw error;
  }
}

function notSigned(): Error {
  return fail("TOKEN_INVALID", "the token is malformed, or not signed by a known key");
}

/** A part of a token in canonical base64url (RFC 4648 section 5), as nearly every issuer writes it. */
const canonical = /^[\w-]+$/;

/**
 * Returns the payload of a canonical token that the secret has signed, or undefined for any other token. Computes the digest on
 * this thread: jose uses another one, and the way there and back takes ten times as long as the digest.
 */
function signedWithSecret(token: string, secret: KeyObject): Uint8Array | undefined {
  const [header = "", payload = "", signature = "", ...others] = token.split(".");
  if (others.length > 0 || !canonical.test(payload) || payload.length % 4 === 1) return undefined;
  const expected = Buffer.from(createHmac("sha256", secret).update(`${header}.${payload}`).digest("base64url"));
  const given = Buffer.from(signature);
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
  return Buffer.from(payload, "base64url");
}
