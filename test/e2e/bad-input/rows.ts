/** The rows of the tables of requests. */
import type { JsonObject } from "@bufbuild/protobuf";
import type { CallerName, Known } from "./stage.ts";

/** An invalid request, its caller, and the error that refuses it. */
export interface Row {
  readonly name: string;
  readonly method: string;
  readonly as: CallerName;
  readonly request: JsonObject | ((known: Known) => JsonObject);
  readonly code: string;
  readonly reason: string;
  /** The field that the error names, if any. */
  readonly field?: string;
}

/** A row without its method and caller. */
export type Cells = readonly [name: string, request: Row["request"], code: string, reason: string, field?: string];

/** Makes rows of one method and caller. */
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
