/** Escapes of ASCII but for `%` and DEL; bytes of other characters are above 7F. */
const needless = /%(?!25|7F)([2-7][0-9A-F])/g;

/**
 * Makes the error messages of a gRPC call legible everywhere. gRPC escapes no printable ASCII but `%`
 * (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Percent-Encoded); Connect escapes all punctuation, and
 * @grpc/grpc-js takes back only a part of that, so that its users would read `message.url%3A must be`.
 */
export function keepMessageLegible(trailer: Headers): void {
  const set = trailer.set.bind(trailer);
  trailer.set = (name, value) =>
    set(name, name.toLowerCase() === "grpc-message" ? value.replace(needless, unescapeByte) : value);
}

function unescapeByte(_escape: string, hex: string): string {
  return String.fromCharCode(Number.parseInt(hex, 16));
}
