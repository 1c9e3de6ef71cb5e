/** Reports whether a text is the name of a cookie: a token of HTTP (RFC 9110 section 5.6.2). */
export function isCookieName(text: string): boolean {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(text);
}

/** Returns the values of all cookies of a name in a header Cookie (RFC 6265 section 4.2.1), without quotes. */
export function cookiesOf(header: string, name: string): readonly string[] {
  return header.split(";").flatMap((pair) => {
    const at = pair.indexOf("=");
    if (at < 0 || pair.slice(0, at).trim() !== name) return [];
    const value = pair.slice(at + 1).trim();
    return [/^"(.*)"$/.exec(value)?.[1] ?? value];
  });
}
