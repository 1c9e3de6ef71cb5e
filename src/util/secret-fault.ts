/** The faults of secrets and passwords that are published or too weak. */

/** Published examples: those of documentation, of token generators, and of configurations to fill in, deploy/ included. */
const placeholder =
  /replace[-_ ]?me|change[-_ ]?(me|this|it)|placeholder|openssl[-_ ]rand|^<.*>$|\byour[-_ ].*(secret|key)|(a-string|a-valid-string|super)[-_]secret/i;

/** Reports whether a secret or password is a published example, which is known to everybody however long it is. */
export function isPlaceholder(secret: string): boolean {
  return placeholder.test(secret);
}

/**
 * Returns the fault of an HS256 secret, to follow the word "is", with advice: it is a placeholder, shorter than the 32 bytes
 * of RFC 7518 section 3.2, or has too few characters to be random. Returns undefined for a good one.
 */
export function secretFault(secret: string): string | undefined {
  const advice = "use 32 random bytes, for example from `openssl rand -base64 32`";
  if (isPlaceholder(secret)) return `a placeholder that everybody knows; ${advice}`;
  const isWeak = new TextEncoder().encode(secret).length < 32 || new Set(secret).size < 8;
  return isWeak ? `too weak; ${advice}` : undefined;
}
