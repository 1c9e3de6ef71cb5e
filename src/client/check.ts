/**
 * Checks the arguments of the public functions. TypeScript finds these mistakes at compile time; in JavaScript a
 * misspelled option would otherwise count as one that is not set.
 */

/** A type of an argument: its name in errors, and the test for it. */
type PlainType = readonly [name: string, test: (value: unknown) => boolean];

/** A type of an argument; where the contract has another form for it, with the function that returns that form. */
export type ArgumentType = PlainType | readonly [...PlainType, form: (value: never, path: string) => unknown];

/** The keys that an object may have, each with its type. */
export type Shape<T> = { readonly [K in keyof T]-?: ArgumentType };

/** The type of a value, by typeof; of an object, the name of its class as JavaScript's own toString() gives it. */
const typeOf = (value: unknown) =>
  typeof value === "object" ? Object.prototype.toString.call(value).slice("[object ".length, -1) : typeof value;
const typed = (type: string, name = `a ${type}`): PlainType => [name, (value) => typeOf(value) === type];
const arrayOf = ([, test]: PlainType, name: string): PlainType => [
  `an array of ${name}`,
  (value) => Array.isArray(value) && value.every(test),
];

/** Any string. */
export const aString = typed("string");
/** `true` or `false`. */
export const aBoolean = typed("boolean");
/** Any function or class. */
export const aFunction = typed("function");
/** Any number but NaN and the infinities; other ranges are checked where the number is used. */
export const aNumber: PlainType = ["a finite number", Number.isFinite];
/** `true`, where `false` has no meaning. */
export const onlyTrue: PlainType = ["true", (value) => value === true];
/** A plain object or an instance of a caller's class; not an array, a Date or an AbortSignal. */
export const anObject = typed("Object", "an object");
/** Bytes; a Buffer of Node is one too. */
export const bytes = typed("Uint8Array");
/** Any array. */
export const anArray = typed("Array", "an array");
/** An array of strings. */
export const strings = arrayOf(aString, "strings");
/** An array of numbers. */
export const numbers = arrayOf(aNumber, "numbers");

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

/** An object of this shape. */
export function shaped(shape: Readonly<Record<string, ArgumentType>>): ArgumentType {
  return [...anObject, (value: unknown, path) => checkShape(path, value, shape)];
}

/** An array of objects of this shape. */
export function listOf(shape: Readonly<Record<string, ArgumentType>>): ArgumentType {
  return [
    ...anArray,
    (values: readonly unknown[], path) =>
      Array.from(values, (value, index) => checkShape(`${path}[${index}]`, value, shape)),
  ];
}

/** Throws a TypeError that names the argument unless it has the type. */
export function check(name: string, value: unknown, [type, test]: ArgumentType): void {
  if (!test(value)) throw new TypeError(`${name}: must be ${type}`);
}

/**
 * Throws a TypeError unless the argument is an object with no keys but these, each unset or of its type. Errors call a
 * key of `options` or `request` by its name, and any other by its path, such as `rooms[0].mode`. Returns a plain object
 * of the keys that are set, in the contract's form: spreading the argument itself would lose the getters of its class.
 */
export function checkShape<T>(name: string, value: T, shape: Readonly<Record<string, ArgumentType>>): T {
  check(name, value, anObject);
  const fields = value as Readonly<Record<string, unknown>>;
  const set: Record<string, unknown> = {};
  // Known keys are read as well, since a getter of a class is no key of its instances.
  for (const key in { ...shape, ...fields }) {
    const field = fields[key];
    if (field === undefined || isProtobufKey(key)) continue;
    const type = shape[key];
    // What an object inherits, such as its constructor, is no type.
    if (!type?.[0]) throw new TypeError(`${name}: unknown key ${key}; known keys are ${Object.keys(shape).join(", ")}`);
    const path = pathOf(name) + key;
    check(path, field, type);
    set[key] = type[2] ? type[2](field as never, path) : field;
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
