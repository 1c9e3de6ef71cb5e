/**
 * Reports whether the header If-None-Match names an entity tag. Weak and strong forms of a tag are the same here (RFC 9110
 * section 13.1.2).
 */
export function namesTag(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  const opaque = tag.replace(/^W\//, "");
  return header.trim() === "*" || [...header.matchAll(/"[^"]*"/g)].some(([each]) => each === opaque);
}
