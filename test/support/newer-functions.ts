/** A function that one of the oldest browsers of `scripts/browsers.ts` lacks. */
export interface NewerFunction {
  /** The global object that has it, or whose instances have it. */
  readonly owner: string;
  readonly name: string;
  /** Whether the object itself has it. */
  readonly isStatic: boolean;
}

const statics: Readonly<Record<string, readonly string[]>> = {
  AbortSignal: ["any"],
  Array: ["fromAsync"],
  Error: ["captureStackTrace", "isError"],
  Intl: ["DurationFormat"],
  Iterator: ["concat", "from", "zip"],
  Map: ["groupBy"],
  Math: ["f16round", "sumPrecise"],
  Object: ["groupBy"],
  Promise: ["try", "withResolvers"],
  ReadableStream: ["from"],
  RegExp: ["escape"],
  Response: ["json"],
  Symbol: ["asyncDispose"],
  URL: ["canParse", "parse"],
  Uint8Array: ["fromBase64", "fromHex"],
};

/** Names that no other object of a page has. */
const methods: Readonly<Record<string, readonly string[]>> = {
  Array: ["toReversed", "toSorted", "toSpliced"],
  ArrayBuffer: ["resize", "transfer", "transferToFixedLength"],
  Map: ["getOrInsert", "getOrInsertComputed"],
  Set: ["difference", "intersection", "isSubsetOf", "isSupersetOf", "symmetricDifference", "union"],
  String: ["isWellFormed", "toWellFormed"],
  Uint8Array: ["setFromBase64", "setFromHex", "toBase64", "toHex"],
};

/** Functions that came to Chrome after 109, to Firefox after 115, or to Safari after 16.4. */
export const newerFunctions: readonly NewerFunction[] = [...list(statics, true), ...list(methods, false)];

function list(names: Readonly<Record<string, readonly string[]>>, isStatic: boolean): NewerFunction[] {
  return Object.entries(names).flatMap(([owner, own]) => own.map((name) => ({ owner, name, isStatic })));
}
