import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServer, type TestServer } from "../../support/server.ts";
import { mintToken, secret, type TokenParts } from "../../support/token.ts";
import { memoryLogger } from "./stage.ts";
import { methods, protocolsOf, refusalOf } from "./wire.ts";

const issuer = "https://id.example.com";
const audience = "tidings";
const right = { iss: issuer, aud: audience };
const now = Math.floor(Date.now() / 1000);

/** The claims of a good token with some of them wrong; `undefined` leaves one out. */
function claims(wrong: Readonly<Record<string, unknown>>): TokenParts {
  return { claims: { ...right, ...wrong } };
}

/** Signed by nobody: header, claims and an empty signature. */
function unsigned(): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part({ ...right, sub: "ann", tenant: "acme", role: "user", exp: now + 600 })}.`;
}

const tokens: readonly [name: string, token: TokenParts | string, reason: string][] = [
  ["none", "", "TOKEN_MISSING"],
  ["another scheme", "Basic YW5uOnNlY3JldA==", "TOKEN_MISSING"],
  ["an empty one", "Bearer ", "TOKEN_MISSING"],
  ["two words", "Bearer a b", "TOKEN_MISSING"],
  ["no JWT", "Bearer abc", "TOKEN_INVALID"],
  ["three parts of nothing", "Bearer a.b.c", "TOKEN_INVALID"],
  ["10 KB of letters", `Bearer ${"x".repeat(10_000)}`, "TOKEN_INVALID"],
  ["no signature", `Bearer ${unsigned()}`, "TOKEN_INVALID"],
  [
    "another secret",
    { ...claims({}), key: new TextEncoder().encode("another secret, that nobody knows") },
    "TOKEN_INVALID",
  ],
  ["another algorithm", { ...claims({}), alg: "HS512" }, "TOKEN_INVALID"],
  ["expired", claims({ exp: now - 1 }), "TOKEN_EXPIRED"],
  ["not yet valid", claims({ nbf: now + 600 }), "TOKEN_INVALID"],
  ["no end", claims({ exp: undefined }), "TOKEN_INVALID"],
  ["another audience", claims({ aud: "billing" }), "TOKEN_INVALID"],
  ["no audience", claims({ aud: undefined }), "TOKEN_INVALID"],
  ["another issuer", claims({ iss: "https://evil.example.com" }), "TOKEN_INVALID"],
  ["no subject", claims({ sub: undefined }), "TOKEN_INVALID"],
  ["an empty subject", claims({ sub: "" }), "TOKEN_INVALID"],
  ["a subject with a line break", claims({ sub: "ann\r\nadmin" }), "TOKEN_INVALID"],
  ["a subject of 129 characters", claims({ sub: "x".repeat(129) }), "TOKEN_INVALID"],
  ["a subject that is a number", claims({ sub: 7 }), "TOKEN_INVALID"],
  ["no role", claims({ role: undefined }), "TOKEN_INVALID"],
  ["an unknown role", claims({ role: "root" }), "TOKEN_INVALID"],
  ["a user without a tenant", claims({ tenant: undefined }), "TOKEN_INVALID"],
  ["an empty tenant", claims({ tenant: "" }), "TOKEN_INVALID"],
  ["a list of tenants", claims({ tenant: ["acme", "rival"] }), "TOKEN_INVALID"],
  ["an empty id", claims({ jti: "" }), "TOKEN_INVALID"],
  ["an id that is a number", claims({ jti: 7 }), "TOKEN_INVALID"],
  ["an id of 129 characters", claims({ jti: "x".repeat(129) }), "TOKEN_INVALID"],
  ["rooms that are a text", claims({ rooms: "**" }), "TOKEN_INVALID"],
  ["rooms that are an object", claims({ rooms: { 0: "lobby", length: 1 } }), "TOKEN_INVALID"],
  ["rooms that are null", claims({ rooms: null }), "TOKEN_INVALID"],
  ["101 rooms", claims({ rooms: Array.from({ length: 101 }, (_, room) => `${room}`) }), "TOKEN_INVALID"],
  ["a room that is a number", claims({ rooms: ["lobby", 7] }), "TOKEN_INVALID"],
  ["an empty room", claims({ rooms: [""] }), "TOKEN_INVALID"],
  ["a room of 321 characters", claims({ rooms: ["x".repeat(321)] }), "TOKEN_INVALID"],
  ["a room with a control character", claims({ rooms: ["lob\u0000by"] }), "TOKEN_INVALID"],
  ["rooms to speak in that are a text", claims({ publish: "**" }), "TOKEN_INVALID"],
  ["a room to speak in with a line break", claims({ publish: ["a\nb"] }), "TOKEN_INVALID"],
];

let server: TestServer;
let protocols: ReturnType<typeof protocolsOf>;
const { logger, lines } = memoryLogger();

beforeAll(async () => {
  server = await startServer({ auth: { secret, issuer, audience }, logger });
  protocols = protocolsOf(server.url);
});

afterAll(() => server.stop());

describe.each(tokens)("a token that is %s", (_name, token, reason) => {
  test(`is refused by every method: ${reason}`, async () => {
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

test("a token that is right in all of this is accepted", async () => {
  const grants = Array.from({ length: 100 }, (_, room) => `r${room}/**`);
  const most = { jti: "😀".repeat(128), rooms: ["ü".repeat(320)], publish: grants };
  const authorization = `bearer ${await mintToken(claims({ exp: now + 600, aud: ["billing", audience], ...most }))}`;
  for (const [protocol, transport] of protocols) {
    expect.soft(await refusalOf(transport, "ListUnread", {}, { authorization }), protocol).toBeUndefined();
  }
});

test("what was refused is in no line of the log", async () => {
  expect(lines.length).toBeGreaterThan(0);
  for (const [, token] of tokens) {
    const text = typeof token === "string" ? token.replace(/^\w+ ?/, "") : await mintToken(token);
    if (text.length > 10) expect.soft(lines.some((line) => line.includes(text))).toBe(false);
  }
});
