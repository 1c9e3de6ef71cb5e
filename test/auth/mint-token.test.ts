import { decodeJwt } from "jose";
import { describe, expect, test } from "vitest";
import { mintToken, type TokenClaims } from "../../src/auth/mint-token.ts";
import { secret } from "../support/token.ts";

const now = 1_800_000_000;
const claims = { sub: "ada", tenant: "acme", role: "user", exp: now + 3600 } as const;

describe("mintToken", () => {
  test("signs the claims", async () => {
    const profile = { name: "Ada", picture: "/ada.png" };
    const all = {
      ...claims,
      iat: now - 1,
      iss: "me",
      aud: "you",
      jti: "t1",
      ...profile,
      rooms: ["a/*"],
      publish: ["b"],
    };
    expect(decodeJwt(await mintToken(secret, all, now))).toEqual(all);
    expect(decodeJwt(await mintToken(secret, claims, now))).toEqual({ ...claims, iat: now });
  });

  test.each<[string, Record<string, unknown>]>([
    ["sub: must be a string", { sub: 42 }],
    ["sub: must be a string of 1 to 128 characters", { sub: "\ud800" }],
    ["tenant: must be a string", { tenant: 7 }],
    ["jti: must be a string", { jti: 7 }],
    ["jti: must be a string of 1 to 128 characters", { jti: "" }],
    ["role: must be user, service or admin", { role: "root" }],
    ["iss: must be a string", { iss: 7 }],
    ["aud: must be a string", { aud: ["tidings"] }],
    ["name: must have at most 256 characters", { name: "x".repeat(257) }],
    ["picture: must be an https or http URL or a path", { picture: "javascript:alert(1)" }],
    ["rooms: must be a list of at most 100 room ids", { rooms: "**" }],
    ["publish: must be a list of at most 100 room ids", { publish: Array.from({ length: 101 }, () => "a") }],
    ["exp: must be in seconds since 1970, not in milliseconds", { exp: now * 1000 }],
    ["iat: must be in seconds since 1970, not in milliseconds", { iat: now * 1000 }],
    ["iat: must be in seconds", { iat: "now" }],
  ])("refuses a claim that every server refuses: %s", async (message, wrong) => {
    await expect(mintToken(secret, { ...claims, ...wrong } as TokenClaims, now)).rejects.toThrow(message);
  });

  test("refuses a placeholder as the secret", async () => {
    await expect(mintToken("replace-me", claims, now)).rejects.toThrow("secret: a placeholder that everybody knows");
  });
});
