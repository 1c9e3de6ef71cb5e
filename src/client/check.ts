/**
 * Checks the arguments of the public functions. TypeScript finds these mistakes at compile time; in JavaScript a
 * misspelled option would otherwise count as one that is not set.
 */

/** A type of an argument: its name in errors, and the test for it. */
export type ArgumentType = readonly [name: string, test: (value: unknown) => boolean];

/** The keys that an object may have, each with its type. */
export type Shape<T> = { readonly [K in keyof T]-?: ArgumentType };

const classOf = (value: unknown) => Object.prototype.toString.call(value);
const isString = (value: unknown) => typeof value === "string";

/** Any string. */
export const aString: ArgumentType = ["a string", isString];
/** Any number but NaN and the infinities; other ranges are checked where the number is used. */
export const aNumber: ArgumentType = ["a finite number", Number.isFinite];
/** `true` or `false`. */
export const aBoolean: ArgumentType = ["a boolean", (value) => typeof value === "boolean"];
/** `true`, where `false` has no meaning. */
export const onlyTrue: ArgumentType = ["true", (value) => value === true];
/** Any function or class. */
export const aFunction: ArgumentType = ["a function", (value) => typeof value === "function"];
/** Any value but `undefined`, which stands for a key that is not set. */
export const anyValue: ArgumentType = ["a value", () => true];
/** A plain object or an instance of a caller's class; not an array, a Date or an AbortSignal. */
export const anObject: ArgumentType = ["an object", (value) => classOf(value) === "[object Object]"];
/** Bytes; a Buffer of Node is one too. */
export const bytes: ArgumentType = ["a Uint8Array", (value) => classOf(value) === "[object Uint8Array]"];
/** Any array. */
export const anArray: ArgumentType = ["an array", Array.isArray];
/** An array of strings. */
export const strings: ArgumentType = ["an array of strings", (value) => Array.isArray(value) && value.every(isString)];
/** An array of numbers. */
export const numbers: ArgumentType = [
  "an array of numbers",
  (value) => Array.isArray(value) && value.every(Number.isFinite),
];

/** One of these words. */
export function oneOf(...words: readonly string[]): ArgumentType {
  return [`one of ${words.join(", ")}`, (value) => words.includes(value as string)];
}

/** An object of any class with these methods. */
export function withMethods(...names: readonly string[]): ArgumentType {
  return [
    `an object with ${names.join("() and ")}()`,
    (value) => names.every((name) => typeof (value as Record<string, unknown> | null)?.[name] === "function"),
  ];
}

/** Throws a TypeError that names the argument unless it has the type. */
export function check(name: string, value: unknown, [type, test]: ArgumentType): void {
  if (!test(value)) throw new TypeError(`${name}: must be ${type}`);
}

/**
 * Throws a TypeError unless the argument is an object with no keys but these, each unset or of its type. Errors call a
 * key of `options` or `request` by its name, and any other by its path, such as `rooms[0].mode`. Returns a plain object
 * of the keys that are set: spreading the argument itself would lose the getters of its class.
 */
export function checkShape<T>(name: string, value: T, shape: Readonly<Record<string, ArgumentType>>): T {
  check(name, value, anObject);
  const fields = value as Readonly<Record<string, unknown>>;
  const set: Record<string, unknown> = {};
  // Known keys are read as well, since a getter of a class is no key of its instances.
  for (const key in { ...shape, ...fields }) {
    const field = fields[key];
    if (field === undefined || isProtobufKey(key)) continue;
    const type = Object.hasOwn(shape, key) && shape[key];
    if (!type) throw new TypeError(`${name}: unknown key ${key}; known keys are ${Object.keys(shape).join(", ")}`);
    check(pathOf(name) + key, field, type);
    set[key] = field;
  }
  return set as T;
}

/** Whether a key is Protobuf's own: every message has the first, and one of a newer contract the second. */
export function isProtobufKey(key: string): boolean {
  return key === "$typeName" || key === "$unknown";
}

/** What stands before a key in an error: nothing for `options` and `request`, else the argument's name and a dot. */
export function pathOf(name: string): string {
  return name === "options" || name === "request" ? "" : `${name}.`;
}
