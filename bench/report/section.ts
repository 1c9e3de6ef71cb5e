import type { Table } from "./table.ts";
import type { Target } from "./target.ts";

/** The results of one part of the benchmark. */
export interface Section {
  readonly tables: readonly Table[];
  readonly targets?: readonly Target[];
  /** SVG documents by file name, without extension. */
  readonly charts?: Readonly<Record<string, string>>;
}
