import type { Table } from "./table.ts";
import type { Target } from "./target.ts";

/** What one part of the benchmark measured. */
export interface Section {
  readonly tables: readonly Table[];
  readonly targets?: readonly Target[];
  /** SVG texts by file name without extension. */
  readonly charts?: Readonly<Record<string, string>>;
}
