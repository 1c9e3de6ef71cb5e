import type { IncomingMessage } from "node:http";

/**
 * Returns all values of a header, given by its name in lower case. For a header that must not be repeated, such as
 * Authorization, `headers` has only the first value, while a proxy in front may have checked the last.
 */
export function valuesOf({ rawHeaders }: IncomingMessage, name: string): string[] {
  const values: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const given = rawHeaders[index] as string;
    // Compare the lengths first, because this runs for every header of every call.
    if (given.length === name.length && given.toLowerCase() === name) values.push(rawHeaders[index + 1] as string);
  }
  return values;
}
