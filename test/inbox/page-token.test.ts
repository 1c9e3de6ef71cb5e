import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PageTokens } from "../../src/inbox/page-token.ts";
import { reasonFrom } from "../support/core.ts";

const tokens = new PageTokens(new Uint8Array(32).fill(7));
const scope = ["unread", "acme", "ann", { categories: ["system"] }];
const places = [
  ["user", 12],
  ["tenant", 3],
];
const token = tokens.encode(scope, places);
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** What decoding another text, or for another scope, ends with. */
function refused(text: string, asked: readonly unknown[] = scope, by = tokens) {
  return reasonFrom(() => by.decode(asked, text));
}

describe("a page token", () => {
  test("gives back its places", () => {
    expect(tokens.decode(scope, token)).toEqual(places);
  });

  test("is short enough for the contract, whatever its places", () => {
    const most = Array.from({ length: 260 }, (_, index) => [`feed-${index}`.slice(0, 8), Number.MAX_SAFE_INTEGER]);
    expect(tokens.encode(scope, most).length).toBeLessThanOrEqual(12_288);
  });

  test("with any other character in it is refused", async () => {
    for (let index = 0; index < token.length; index++) {
      const other = alphabet[(alphabet.indexOf(token[index] as string) + 1) % 64];
      expect(await refused(token.slice(0, index) + other + token.slice(index + 1))).toBe("PAGE_TOKEN_INVALID");
    }
  });

  test("with any bit turned is refused", async () => {
    const bytes = Buffer.from(token, "base64url");
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const altered = Buffer.from(bytes);
      altered[bit >> 3] = (altered[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(await refused(altered.toString("base64url"))).toBe("PAGE_TOKEN_INVALID");
    }
  });

  test("cut short or with something behind it is refused", async () => {
    for (let length = 0; length < token.length; length++) {
      expect(await refused(token.slice(0, length))).toBe("PAGE_TOKEN_INVALID");
    }
    for (const more of ["=", " ", "\n", "A", "!", token])
      expect(await refused(token + more)).toBe("PAGE_TOKEN_INVALID");
  });

  test("in another spelling of the same bytes is refused", async () => {
    const standard = tokens
      .encode(scope, new Map([["user", 1]]))
      .replaceAll("-", "+")
      .replaceAll("_", "/");
    if (/[+/]/.test(standard)) expect(await refused(standard)).toBe("PAGE_TOKEN_INVALID");
    expect(await refused(`${token.slice(0, 5)}\n${token.slice(5)}`)).toBe("PAGE_TOKEN_INVALID");
  });

  test("of another caller, list or filter is refused", async () => {
    const others = [
      ["messages", "acme", "ann", { categories: ["system"] }],
      ["unread", "globex", "ann", { categories: ["system"] }],
      ["unread", "acme", "bob", { categories: ["system"] }],
      ["unread", "acme", "ann", { categories: [] }],
    ];
    for (const other of others) expect(await refused(token, other)).toBe("PAGE_TOKEN_INVALID");
  });

  test("of another server is refused", async () => {
    expect(await refused(token, scope, new PageTokens(new Uint8Array(32).fill(8)))).toBe("PAGE_TOKEN_INVALID");
  });

  test("made up is refused", async () => {
    const madeUp = fc.asyncProperty(fc.string(), async (text) => {
      expect(await refused(text)).toBe("PAGE_TOKEN_INVALID");
    });
    await fc.assert(madeUp);
  });
});
