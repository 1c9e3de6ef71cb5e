import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PageTokens } from "../../src/inbox/page-token.ts";
import { reasonFrom } from "../support/core.ts";

const tokens = new PageTokens(new Uint8Array(32).fill(7));
const scope = ["unread", "acme", "ann", { categories: ["system"] }];
const cursor = [
  ["user", 12],
  ["tenant", 3],
];
const token = tokens.encode(scope, cursor);
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Returns the reason for which decoding fails. */
function refused(text: string, asked: readonly unknown[] = scope, by = tokens) {
  return reasonFrom(() => by.decode(asked, text));
}

describe("A page token", () => {
  test("gives back its cursor", () => {
    expect(tokens.decode(scope, token)).toEqual(cursor);
  });

  test("is short enough for the contract with any cursor", () => {
    const most = Array.from({ length: 260 }, (_, index) => [`feed-${index}`.slice(0, 8), Number.MAX_SAFE_INTEGER]);
    expect(tokens.encode(scope, most).length).toBeLessThanOrEqual(12_288);
  });

  test("is refused when any character is changed", async () => {
    for (let index = 0; index < token.length; index++) {
      const other = alphabet[(alphabet.indexOf(token[index] as string) + 1) % 64];
      expect(await refused(token.slice(0, index) + other + token.slice(index + 1))).toBe("PAGE_TOKEN_INVALID");
    }
  });

  test("is refused when any bit is flipped", async () => {
    const bytes = Buffer.from(token, "base64url");
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const altered = Buffer.from(bytes);
      altered[bit >> 3] = (altered[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(await refused(altered.toString("base64url"))).toBe("PAGE_TOKEN_INVALID");
    }
  });

  test("is refused when it is cut short or followed by anything", async () => {
    for (let length = 0; length < token.length; length++) {
      expect(await refused(token.slice(0, length))).toBe("PAGE_TOKEN_INVALID");
    }
    for (const more of ["=", " ", "\n", "A", "!", token])
      expect(await refused(token + more)).toBe("PAGE_TOKEN_INVALID");
  });

  test("is refused in another spelling of the same bytes", async () => {
    const standard = tokens
      .encode(scope, new Map([["user", 1]]))
      .replaceAll("-", "+")
      .replaceAll("_", "/");
    if (/[+/]/.test(standard)) expect(await refused(standard)).toBe("PAGE_TOKEN_INVALID");
    expect(await refused(`${token.slice(0, 5)}\n${token.slice(5)}`)).toBe("PAGE_TOKEN_INVALID");
  });

  test("is refused for another caller, list or filter", async () => {
    const others = [
      ["messages", "acme", "ann", { categories: ["system"] }],
      ["unread", "globex", "ann", { categories: ["system"] }],
      ["unread", "acme", "bob", { categories: ["system"] }],
      ["unread", "acme", "ann", { categories: [] }],
    ];
    for (const other of others) expect(await refused(token, other)).toBe("PAGE_TOKEN_INVALID");
  });

  test("is refused by a server with another secret", async () => {
    expect(await refused(token, scope, new PageTokens(new Uint8Array(32).fill(8)))).toBe("PAGE_TOKEN_INVALID");
  });

  test("is refused when it is made up", async () => {
    const madeUp = fc.asyncProperty(fc.string(), async (text) => {
      expect(await refused(text)).toBe("PAGE_TOKEN_INVALID");
    });
    await fc.assert(madeUp);
  });
});
