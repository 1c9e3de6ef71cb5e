/**
 * One string for several ids. Ids have no control characters, so the newline keeps `a` + `b/c` apart from `a/b` + `c`.
 */
export function joinKey(...ids: readonly string[]): string {
  return ids.join("\n");
}

/** One string for a tenant and one of its users, rooms or feeds. */
export function tenantKey(tenant: string, id: string): string {
  return `${tenant}\n${id}`;
}

/** The offset basis of FNV-1a for 32 bits. */
const offsetBasis = 0x811c9dc5;
const prime = 0x01000193;

/**
 * The 32-bit FNV-1a hash over the UTF-16 code units of a text (draft-eastlake-fnv): the same on every node and every
 * version, which shards rely on. `hash` continues an earlier text.
 */
export function fnv1a(text: string, hash: number = offsetBasis): number {
  let mixed = hash;
  for (let index = 0; index < text.length; index++) mixed = Math.imul(mixed ^ text.charCodeAt(index), prime);
  return mixed >>> 0;
}
