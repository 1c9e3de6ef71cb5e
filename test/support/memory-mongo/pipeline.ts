/** What a `$group` of MongoDB's aggregation makes of documents, as far as the store asks for it. */
import { type Document, order } from "./documents.ts";

/** Groups by `_id`. Throws for an expression or an accumulator that is not known here. */
export function grouped(documents: readonly Document[], { _id: id, ...fields }: Document): Document[] {
  const groups = new Map<string, Document>();
  for (const document of documents) {
    const name = evaluated(id, document);
    const key = JSON.stringify(name);
    const group = groups.get(key) ?? { _id: name };
    for (const [field, accumulator] of Object.entries(fields)) {
      group[field] = accumulated(group[field], accumulator as Document, document);
    }
    groups.set(key, group);
  }
  return [...groups.values()];
}

function accumulated(before: unknown, accumulator: Document, document: Document): unknown {
  const [operator = ""] = Object.keys(accumulator);
  const value = evaluated(accumulator[operator], document);
  if (operator === "$sum") return ((before as number | undefined) ?? 0) + (value as number);
  // What is not there is not the least.
  if (operator === "$min") return before == null || order(value, before) < 0 ? (value ?? before ?? null) : before;
  throw new Error(`unknown accumulator ${operator}`);
}

function evaluated(expression: unknown, document: Document): unknown {
  if (typeof expression === "string" && expression.startsWith("$")) return document[expression.slice(1)];
  if (typeof expression !== "object" || expression === null) return expression;
  const [[operator, operands] = ["", undefined]] = Object.entries(expression);
  if (operator === "$cond") {
    const [condition, yes, no] = operands as unknown[];
    return evaluated(evaluated(condition, document) ? yes : no, document);
  }
  if (operator === "$in") {
    const [value, among] = operands as [unknown, unknown[]];
    return among.includes(evaluated(value, document));
  }
  if (operator.startsWith("$")) throw new Error(`unknown expression ${operator}`);
  return Object.fromEntries(Object.entries(expression).map(([field, part]) => [field, evaluated(part, document)]));
}
