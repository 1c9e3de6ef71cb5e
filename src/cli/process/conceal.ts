import { passwordsOf } from "../../adapters/urls.ts";

/** Shorter ones are no secret, and would be found in innocent words. */
const shortest = 4;

/**
 * Takes the passwords of URLs out of text, however a driver came to quote them: as written, decoded, or inside JSON. For
 * everything that goes to a log or a terminal.
 */
export function createConceal(urls: readonly (string | undefined)[]): (text: string) => string {
  const passwords = urls
    .flatMap((url) => (url === undefined ? [] : passwordsOf(url)))
    .flatMap((password) => [password, JSON.stringify(password).slice(1, -1)])
    .filter((password) => password.length >= shortest)
    // The longest first: one may be a part of another.
    .sort((a, b) => b.length - a.length);
  return (text) => passwords.reduce((concealed, password) => concealed.replaceAll(password, "***"), text);
}
