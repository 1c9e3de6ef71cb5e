import { fail } from "../errors.ts";

/** The categories that only services may publish under, so that no user can pass for the system. */
export class ReservedCategories {
  readonly #folded: ReadonlySet<string>;

  constructor(categories: readonly string[]) {
    this.#folded = new Set(categories.map(fold));
  }

  /** Throws CATEGORY_RESERVED if a user may not publish under the category. */
  check(category: string): void {
    if (category === "" || !this.#folded.has(fold(category))) return;
    throw fail("CATEGORY_RESERVED", "only services publish under this category; choose another one", {
      field: "message.category",
    });
  }
}

/** Makes categories equal that look alike on a page: `System`, `system ` and `ｓｙｓｔｅｍ`. */
function fold(category: string): string {
  return category
    .normalize("NFKC")
    .replaceAll(/[\p{Cf}\s]/gu, "")
    .toLowerCase();
}
