import { fnv1a } from "../../util/keys.ts";
/**
 * In which collections documents lie. A server that finds documents by scanning (FerretDB 1) gets many small collections,
 * with claims apart; any other one gets `entries` and `states`.
 */
export class Layout {
  readonly #parts: number;

  /** `parts`: 0 where the server uses indexes. It is kept in the store's `meta`, for it cannot change later. */
  constructor(parts: number) {
    this.#parts = parts;
  }

  /** The collection of a feed's entries. */
  entries(f: string): string {
    return this.#parts === 0 ? "entries" : `entries-${part(f, this.#parts)}`;
  }

  /** The collection of claims. */
  get claims(): string {
    return this.#parts === 0 ? "entries" : "claims";
  }

  /** The collection of a user's read state. */
  states(id: string): string {
    return this.#parts === 0 ? "states" : `states-${part(id, this.#parts)}`;
  }

  /** All collections of entries. */
  get all(): readonly string[] {
    if (this.#parts === 0) return ["entries"];
    return Array.from({ length: this.#parts }, (_, index) => `entries-${index}`);
  }

  /** Indexes are not used to find things. */
  get scans(): boolean {
    return this.#parts > 0;
  }

  /** Feeds by the collection of their entries. */
  group(feeds: readonly string[]): ReadonlyMap<string, string[]> {
    return Map.groupBy(feeds, (f) => this.entries(f));
  }
}

function part(text: string, parts: number): number {
  return fnv1a(text) % parts;
}
