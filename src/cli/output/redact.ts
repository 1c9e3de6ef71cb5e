import { passwordsOf } from "../../adapters/urls.ts";

/** Shorter passwords protect nothing, and would also match inside ordinary words. */
const minLength = 4;

/**
 * Returns a function that replaces the passwords of these URLs by `***` in a text. Drivers quote their URL in errors and
 * log fields: as it was written, percent-decoded, or escaped in JSON. Apply it to all that goes to a log or a terminal.
 */
export function createRedactor(urls: readonly (string | undefined)[]): (text: string) => string {
  const passwords = urls
    .flatMap((url) => (url === undefined ? [] : passwordsOf(url)))
    .flatMap((password) => [password, JSON.stringify(password).slice(1, -1)])
    .filter((password) => password.length >= minLength)
    // Longest first: one password may be part of another.
    .sort((a, b) => b.length - a.length);
  return (text) => passwords.reduce((redacted, password) => redacted.replaceAll(password, "***"), text);
}
