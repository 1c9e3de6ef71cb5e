/** The form of the tables of requests. */
import type { JsonObject } from "@bufbuild/protobuf";
import type { CallerName, Known } from "./stage.ts";

/** One row. */
export interface Row {
  readonly name: string;
  readonly method: string;
  readonly as: CallerName;
  readonly request: JsonObject | ((known: Known) => JsonObject);
  readonly code: string;
  readonly reason: string;
  /** The field that is named; unset: none. */
  readonly field?: string;
}

/** A row without its method and caller. */
export type Cells = readonly [name: string, request: Row["request"], code: string, reason: string, field?: string];

/** Rows of one method and caller. */
export function rowsOf(method: string, as: CallerName, table: readonly Cells[]): Row[] {
  return table.map(([name, request, code, reason, field]) => ({
    name,
    method,
    as,
    request,
    code,
    reason,
    ...(field === undefined ? {} : { field }),
  }));
}
