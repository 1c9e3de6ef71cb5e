import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServer, type TestServer } from "../../support/server.ts";
import { mintToken, secret, type TokenParts } from "../../support/token.ts";
import { memoryLogger } from "./stage.ts";
import { methods, protocolsOf, refusalOf } from "./wire.ts";

const issuer = "https://id.example.com";
const audience = "tidings";
const right = { iss: issuer, aud: audience };
const now = Math.floor(Date.now() / 1000);

/** The claims of a valid token, with some of them replaced; `undefined` leaves a claim out. */
function claims(wrong: Readonly<Record<string, unknown>>): TokenParts {
  return { claims: { ...right, ...wrong } };
}

/** A token with an empty signature. */
function unsigned(): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part({ ...right, sub: "ann", tenant: "acme", role: "user", exp: now + 600 })}.`;
}

const tokens: readonly [name: string, token: TokenParts | string, reason: string][] = [
  ["a call without a token", "", "TOKEN_MISSING"],
  ["a token of another scheme", "Basic YW5uOnNlY3JldA==", "TOKEN_MISSING"],
  ["an empty token", "Bearer ", "TOKEN_MISSING"],
  ["a token of two words", "Bearer a b", "TOKEN_MISSING"],
  ["a token that is not a JWT", "Bearer abc", "TOKEN_INVALID"],
  ["a token of three meaningless parts", "Bearer a.b.c", "TOKEN_INVALID"],
  ["a token of 10,000 letters", `Bearer ${"x".repeat(10_000)}`, "TOKEN_INVALID"],
  ["a token without a signature", `Bearer ${unsigned()}`, "TOKEN_INVALID"],
  [
    "a token signed with another secret",
    { ...claims({}), key: new TextEncoder().encode("another secret, that nobody knows") },
    "TOKEN_INVALID",
  ],
  ["a token of another algorithm", { ...claims({}), alg: "HS512" }, "TOKEN_INVALID"],
  ["an expired token", claims({ exp: now - 1 }), "TOKEN_EXPIRED"],
  ["a token that is not valid yet", claims({ nbf: now + 600 }), "TOKEN_INVALID"],
  ["a token that was issued in the future", claims({ iat: now + 600 }), "TOKEN_INVALID"],
  ["a token that expires in 401 days", claims({ exp: now + 401 * 86_400 }), "TOKEN_INVALID"],
  ["a token that expires in milliseconds since 1970", claims({ exp: (now + 600) * 1000 }), "TOKEN_INVALID"],
  ["a token that never expires", claims({ exp: undefined }), "TOKEN_INVALID"],
  ["a token for another audience", claims({ aud: "billing" }), "TOKEN_INVALID"],
  ["a token without an audience", claims({ aud: undefined }), "TOKEN_INVALID"],
  ["a token of another issuer", claims({ iss: "https://evil.example.com" }), "TOKEN_INVALID"],
  ["a token without a subject", claims({ sub: undefined }), "TOKEN_INVALID"],
  ["an empty subject", claims({ sub: "" }), "TOKEN_INVALID"],
  ["a subject with a line break", claims({ sub: "ann\r\nadmin" }), "TOKEN_INVALID"],
  ["a subject of 129 characters", claims({ sub: "x".repeat(129) }), "TOKEN_INVALID"],
  ["a subject that is a number", claims({ sub: 7 }), "TOKEN_INVALID"],
  ["a token without a role", claims({ role: undefined }), "TOKEN_INVALID"],
  ["an unknown role", claims({ role: "root" }), "TOKEN_INVALID"],
  ["a user without a tenant", claims({ tenant: undefined }), "TOKEN_INVALID"],
  ["an empty tenant", claims({ tenant: "" }), "TOKEN_INVALID"],
  ["a list of tenants", claims({ tenant: ["acme", "rival"] }), "TOKEN_INVALID"],
  ["an empty token id", claims({ jti: "" }), "TOKEN_INVALID"],
  ["a token id that is a number", claims({ jti: 7 }), "TOKEN_INVALID"],
  ["a token id of 129 characters", claims({ jti: "x".repeat(129) }), "TOKEN_INVALID"],
  ["rooms that are a string", claims({ rooms: "**" }), "TOKEN_INVALID"],
  ["rooms that are an object", claims({ rooms: { 0: "lobby", length: 1 } }), "TOKEN_INVALID"],
  ["rooms that are null", claims({ rooms: null }), "TOKEN_INVALID"],
  ["101 rooms", claims({ rooms: Array.from({ length: 101 }, (_, room) => `${room}`) }), "TOKEN_INVALID"],
  ["a room that is a number", claims({ rooms: ["lobby", 7] }), "TOKEN_INVALID"],
  ["an empty room", claims({ rooms: [""] }), "TOKEN_INVALID"],
  ["a room of 321 characters", claims({ rooms: ["x".repeat(321)] }), "TOKEN_INVALID"],
  ["a room with a control character", claims({ rooms: ["lob\u0000by"] }), "TOKEN_INVALID"],
  ["rooms to publish to that are a string", claims({ publish: "**" }), "TOKEN_INVALID"],
  ["a room to publish to with a line break", claims({ publish: ["a\nb"] }), "TOKEN_INVALID"],
  ["rooms to take over that are a string", claims({ takeover: "**" }), "TOKEN_INVALID"],
];

let server: TestServer;
let protocols: ReturnType<typeof protocolsOf>;
const { logger, lines } = memoryLogger();

beforeAll(async () => {
  server = await startServer({ auth: { secret, issuer, audience }, logger });
  protocols = protocolsOf(server.url);
});

afterAll(() => server.stop());

describe.each(tokens)("Every method refuses %s", (_name, token, reason) => {
  test(`with ${reason}`, async () => {
    const authorization = typeof token === "string" ? token : `Bearer ${await mintToken(token)}`;
    for (const [protocol, transport] of protocols) {
      for (const method of methods.keys()) {
        const refusal = await refusalOf(transport, method, {}, authorization === "" ? {} : { authorization });
        expect
          .soft(refusal, `${method} over ${protocol}`)
          .toMatchObject({ code: "Unauthenticated", reason, domain: "tidings" });
      }
    }
  });
});

test("Every protocol accepts a valid token with claims at their limits", async () => {
  const grants = Array.from({ length: 100 }, (_, room) => `r${room}/**`);
  const times = { nbf: now + 20.5, iat: now + 20.5 };
  const most = { ...times, jti: "😀".repeat(128), rooms: ["ü".repeat(320)], publish: grants };
  const authorization = `bearer ${await mintToken(claims({ exp: now + 600, aud: ["billing", audience], ...most }))}`;
  for (const [protocol, transport] of protocols) {
    expect.soft(await refusalOf(transport, "ListUnread", {}, { authorization }), protocol).toBeUndefined();
  }
});

test("The log has no token that was refused", async () => {
  expect(lines.length).toBeGreaterThan(0);
  for (const [, token] of tokens) {
    const text = typeof token === "string" ? token.replace(/^\w+ ?/, "") : await mintToken(token);
    if (text.length > 10) expect.soft(lines.some((line) => line.includes(text))).toBe(false);
  }
});
