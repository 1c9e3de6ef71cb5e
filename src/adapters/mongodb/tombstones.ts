/**
 * Changes that make an entry a tombstone. It keeps its slot, so that the feed has no hole, and its deduplication key,
 * so that the message cannot be appended again; nothing lists, counts or finds it.
 */

/** Of an entry that has expired or was replaced. */
export const tombstone = {
  $set: { k: 0, g: "" },
  $unset: { a: "", y: "", i: "", b: "", d: "", r: "", z: "", q: "", x: "" },
} as const;

/** Also drops the publish time, so that trimming does not find the entry again. */
export const trimmedTombstone = { ...tombstone, $unset: { ...tombstone.$unset, p: "" } } as const;

const { x: _, ...withoutExpiry } = tombstone.$unset;

/**
 * Of a recall, which is marked, and expires like the message: until then a repetition of the recall finds the entry
 * again.
 */
export const recalledTombstone = { $set: { ...tombstone.$set, k: -1 }, $unset: withoutExpiry } as const;
