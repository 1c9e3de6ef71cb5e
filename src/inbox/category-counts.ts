/**
 * Counts by category, of a bounded number of categories: users may invent any number of them, and totals are sent with each
 * change. A count that has a name of its own is always exact, and so is the sum of all.
 */

/** The most categories that totals name. The contract states it, and clients count by it. */
export const maxCategories = 100;

/** The name under which totals count messages of further categories. No user can publish under it. */
export const otherCategories = "(other)";

/** Counts by category, at most `maxCategories` of them, and `otherCategories`. */
export type CategoryCounts = ReadonlyMap<string, number>;

/**
 * Adds counts of any number of categories to bounded ones, which keep their names. Further categories get names in the order
 * given, until there are too many; from then on they are counted under `otherCategories`.
 */
export function addCounts(bounded: CategoryCounts, counts: ReadonlyMap<string, number>): CategoryCounts {
  const sum = new Map(bounded);
  for (const [category, count] of counts) {
    const isNamed = sum.has(category) || sum.size < maxCategories;
    const name = isNamed ? category : otherCategories;
    sum.set(name, (sum.get(name) ?? 0) + count);
  }
  return sum;
}
