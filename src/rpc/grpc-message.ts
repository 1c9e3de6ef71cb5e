/** Escapes of printable ASCII other than `%`. The bytes of other characters are above 7F and stay escaped. */
const needless = /%(?!25|7F)([2-7][0-9A-F])/g;

/**
 * Keeps the error messages of a gRPC call legible for every client. gRPC escapes no printable ASCII except `%`
 * (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Percent-Encoded). Connect escapes all punctuation,
 * and
 * @grpc/grpc-js unescapes only some of it, so its users would read `message.url%3A must be`.
 */
export function keepMessageLegible(trailer: Headers): void {
  const set = trailer.set.bind(trailer);
  trailer.set = (name, value) =>
    set(name, name.toLowerCase() === "grpc-message" ? value.replace(needless, unescapeByte) : value);
}

function unescapeByte(_escape: string, hex: string): string {
  return String.fromCharCode(Number.parseInt(hex, 16));
}
