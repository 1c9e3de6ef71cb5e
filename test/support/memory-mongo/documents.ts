/** The part of MongoDB's query and update language that the store uses. */

/** A document as the driver reads it. */
export type Document = Record<string, unknown>;

/** Reports whether a document matches. */
export type Predicate = (document: Document) => boolean;

/** Compiles a filter. Throws for an operator that is not supported. */
export function matcher(filter: Document): Predicate {
  const conditions = Object.entries(filter).map(([field, condition]): Predicate => {
    if (field === "$or") {
      const parts = (condition as Document[]).map(matcher);
      return (document) => parts.some((part) => part(document));
    }
    const meets = conditionOf(condition);
    return (document) => meets(document[field]);
  });
  return (document) => conditions.every((condition) => condition(document));
}

function conditionOf(condition: unknown): (value: unknown) => boolean {
  if (!isOperators(condition)) return (value) => value === condition;
  const all = Object.entries(condition).map(([operator, operand]) => comparison(operator, operand));
  return (value) => all.every((meets) => meets(value));
}

function comparison(operator: string, operand: unknown): (value: unknown) => boolean {
  switch (operator) {
    case "$in":
      return (value) => (operand as unknown[]).includes(value);
    case "$exists":
      return (value) => (value !== undefined) === operand;
    case "$not": {
      const meets = conditionOf(operand);
      return (value) => !meets(value);
    }
    case "$gt":
      return (value) => order(value, operand) > 0;
    case "$gte":
      return (value) => order(value, operand) >= 0;
    case "$lt":
      return (value) => order(value, operand) < 0;
    case "$lte":
      return (value) => order(value, operand) <= 0;
    case "$ne":
      return (value) => value !== operand;
    default:
      throw new Error(`unknown operator ${operator}`);
  }
}

/** Whether a condition consists of operators, and is not a value. */
function isOperators(condition: unknown): condition is Document {
  if (typeof condition !== "object" || condition === null) return false;
  return Object.keys(condition).some((key) => key.startsWith("$"));
}

/**
 * Negative, 0 or positive as `a` comes before, with or after `b`; NaN, which satisfies no comparison, for two types.
 */
export function order(a: unknown, b: unknown): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : Number(a > b);
  return Number.NaN;
}

/** A comparator of documents by the fields of a sort. */
export function bySort(sort: Document): (a: Document, b: Document) => number {
  return (a, b) => {
    for (const [field, direction] of Object.entries(sort)) {
      const result = order(a[field], b[field]);
      if (result) return result * (direction as number);
    }
    return 0;
  };
}

/** A document with only the fields that a projection keeps. */
export function project(document: Document, projection: Document): Document {
  const { _id: id, ...fields } = projection;
  if (Object.values(fields).some((value) => value === 0 || value === false)) {
    return Object.fromEntries(Object.entries(document).filter(([field]) => !(field in projection)));
  }
  const wanted = [...(id === 0 || id === false ? [] : ["_id"]), ...Object.keys(fields)];
  if (Object.keys(fields).length === 0) return document;
  return Object.fromEntries(Object.entries(document).filter(([field]) => wanted.includes(field)));
}

/** A document after an update or a replacement. Throws for an operator that is not supported. */
export function updated(document: Document, update: Document): Document {
  const isReplacement = !Object.keys(update).some((key) => key.startsWith("$"));
  if (isReplacement) return { _id: document._id, ...update };
  const result = { ...document };
  for (const [operator, fields] of Object.entries(update)) {
    for (const [field, value] of Object.entries(fields as Document)) {
      if (operator === "$set") result[field] = value;
      else if (operator === "$unset") delete result[field];
      else if (operator === "$inc") result[field] = ((result[field] as number | undefined) ?? 0) + (value as number);
      else if (operator === "$max") {
        if (result[field] === undefined || order(value, result[field]) > 0) result[field] = value;
      } else throw new Error(`unknown operator ${operator}`);
    }
  }
  return result;
}
