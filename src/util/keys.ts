/**
 * Joins ids into one string. Ids that the contract has checked have no control characters, so the newline keeps
 * (`a`, `b/c`) apart from (`a/b`, `c`).
 */
export function joinKey(...ids: readonly string[]): string {
  return ids.join("\n");
}

/** Joins a tenant and the id of one of its users, rooms or feeds, as `joinKey` does. */
export function tenantKey(tenant: string, id: string): string {
  return `${tenant}\n${id}`;
}

/**
 * Joins one or two texts of any content, as netstrings (https://cr.yp.to/proto/netstrings.txt): the length before each
 * text keeps different pairs apart whatever characters they have. For adapters, whose ports accept any id.
 */
export function exactKey(first: string, second?: string): string {
  const start = `${first.length}:${first},`;
  return second === undefined ? start : `${start}${second.length}:${second},`;
}

/** The offset basis and the prime of FNV-1a for 32 bits. */
const offsetBasis = 0x811c9dc5;
const prime = 0x01000193;

/**
 * Returns the 32-bit FNV-1a hash of the UTF-16 code units of a text (draft-eastlake-fnv). It is the same on every node
 * and in every version, which shards rely on. `hash`, the hash of an earlier text, continues that text.
 */
export function fnv1a(text: string, hash: number = offsetBasis): number {
  let mixed = hash;
  for (let index = 0; index < text.length; index++) mixed = Math.imul(mixed ^ text.charCodeAt(index), prime);
  return mixed >>> 0;
}
