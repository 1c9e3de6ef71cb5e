/** The part of the `$group` of MongoDB's aggregation that the store uses. */
import { type Document, order } from "./documents.ts";

type Expression = (document: Document) => unknown;

/** Groups documents by the fields of `_id`. Throws for an expression or an accumulator that is not supported. */
export function grouped(documents: readonly Document[], { _id: id, ...fields }: Document): Document[] {
  const parts = Object.entries(id as Document).map(([field, part]) => ({ field, evaluate: expression(part) }));
  const accumulators = Object.entries(fields).map(([field, how]) => ({ field, add: accumulator(how as Document) }));
  const groups = new Map<string, Document>();
  for (const document of documents) {
    const values = parts.map(({ evaluate }) => evaluate(document));
    const key = values.join("\0");
    const group = groups.get(key) ?? {
      _id: Object.fromEntries(parts.map(({ field }, index) => [field, values[index]])),
    };
    for (const { field, add } of accumulators) group[field] = add(group[field], document);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function accumulator(how: Document): (before: unknown, document: Document) => unknown {
  const [[operator, operand] = ["", undefined]] = Object.entries(how);
  const evaluate = expression(operand);
  if (operator === "$sum")
    return (before, document) => ((before as number | undefined) ?? 0) + Number(evaluate(document) ?? 0);
  if (operator !== "$min") throw new Error(`unknown accumulator ${operator}`);
  return (before, document) => {
    const value = evaluate(document);
    // A missing value is not the lowest.
    return before == null || order(value, before) < 0 ? (value ?? before ?? null) : before;
  };
}

function expression(text: unknown): Expression {
  if (typeof text === "string" && text.startsWith("$")) return (document) => document[text.slice(1)];
  if (typeof text !== "object" || text === null) return () => text;
  if (Array.isArray(text)) {
    const parts = text.map(expression);
    return (document) => parts.map((evaluate) => evaluate(document));
  }
  const [[operator, operands] = ["", undefined]] = Object.entries(text);
  if (operator === "$cond") {
    const [condition, yes, no] = (operands as [unknown, unknown, unknown]).map(expression) as [
      Expression,
      Expression,
      Expression,
    ];
    return (document) => (condition(document) ? yes : no)(document);
  }
  if (operator === "$ifNull") {
    const [value, otherwise] = (operands as [unknown, unknown]).map(expression) as [Expression, Expression];
    return (document) => value(document) ?? otherwise(document);
  }
  if (operator === "$binarySize") {
    const value = expression(operands);
    return (document) => (value(document) as { length(): number } | undefined)?.length() ?? null;
  }
  if (operator === "$in") {
    const [value, among] = operands as [unknown, unknown[]];
    const evaluate = expression(value);
    const names = new Set(among.map((each) => JSON.stringify(each)));
    return (document) => names.has(JSON.stringify(evaluate(document)));
  }
  throw new Error(`unknown expression ${operator}`);
}
