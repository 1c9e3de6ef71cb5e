import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { base64url, exportJWK, generateKeyPair, type JWK } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Authenticate, bearerToken, createAuthenticate } from "../../src/auth/verify-token.ts";
import { FakeClock } from "../support/clock.ts";
import { reasonFrom } from "../support/core.ts";
import { mintToken, secret, tokenExpiry } from "../support/token.ts";

const start = 1_800_000_000_000;

function bySecret(more: { issuer?: string; audience?: string } = {}, clock = new FakeClock(start)): Authenticate {
  return createAuthenticate({ secret, ...more }, clock);
}

describe("A token signed with the secret", () => {
  const authenticate = bySecret();

  test("gives the caller's identity, the first time and from the cache", async () => {
    const token = await mintToken();
    const ann = {
      subject: "ann",
      tenant: "acme",
      role: "user",
      expireTime: tokenExpiry * 1000,
      tokenId: "",
      rooms: [],
      publish: [],
    };
    expect(await authenticate(token)).toEqual(ann);
    expect(await authenticate(token)).toEqual(ann);
  });

  test.each(["service", "admin"])("may leave out the tenant in the role %s", async (role) => {
    const token = await mintToken({ claims: { role, tenant: undefined } });
    expect(await authenticate(token)).toMatchObject({ role, tenant: undefined });
  });

  test("is required", async () => {
    expect(await reasonFrom(authenticate(undefined))).toBe("TOKEN_MISSING");
    expect(await reasonFrom(authenticate(""))).toBe("TOKEN_MISSING");
  });

  test.each(["x", "a.b", "a.b.c", "....", "eyJhbGciOiJIUzI1NiJ9.e30.", "\u0000.é.😀", "a".repeat(10_000)])(
    "is refused when it is malformed: %j",
    async (text) => {
      expect(await reasonFrom(authenticate(text))).toBe("TOKEN_INVALID");
    },
  );

  test("is refused when any part of it was altered", async () => {
    const parts = (await mintToken()).split(".") as [string, string, string];
    const payload = base64url.encode(JSON.stringify({ sub: "bob", tenant: "acme", role: "user", exp: tokenExpiry }));
    const header = base64url.encode(JSON.stringify({ alg: "HS256", crit: ["b64"], b64: false }));
    for (const forged of [
      [parts[0], payload, parts[2]],
      [parts[0], parts[1], parts[2].slice(1)],
      [header, parts[1], parts[2]],
    ]) {
      expect(await reasonFrom(authenticate(forged.join(".")))).toBe("TOKEN_INVALID");
    }
  });

  test("is refused when its header says that it is not signed, in any spelling", async () => {
    const payload = base64url.encode(JSON.stringify({ sub: "ann", tenant: "acme", role: "admin", exp: tokenExpiry }));
    for (const alg of ["none", "None", "NONE", "nOnE"]) {
      const header = base64url.encode(JSON.stringify({ alg }));
      for (const signature of ["", "x"])
        expect(await reasonFrom(authenticate(`${header}.${payload}.${signature}`))).toBe("TOKEN_INVALID");
    }
  });

  test("is refused when it was signed with another algorithm or another secret", async () => {
    expect(await reasonFrom(authenticate(await mintToken({ alg: "HS512" })))).toBe("TOKEN_INVALID");
    const key = new TextEncoder().encode(`${secret}!`);
    expect(await reasonFrom(authenticate(await mintToken({ key })))).toBe("TOKEN_INVALID");
  });

  test("is refused once it has expired", async () => {
    const exp = start / 1000;
    expect(await reasonFrom(authenticate(await mintToken({ claims: { exp: exp - 1 } })))).toBe("TOKEN_EXPIRED");
    expect(await reasonFrom(authenticate(await mintToken({ claims: { exp } })))).toBe("TOKEN_EXPIRED");
    expect(await authenticate(await mintToken({ claims: { exp: exp + 1 } }))).toBeDefined();
  });

  test("is refused before it is valid", async () => {
    expect(await reasonFrom(authenticate(await mintToken({ claims: { nbf: start / 1000 + 60 } })))).toBe(
      "TOKEN_INVALID",
    );
  });

  test.each<[string, Record<string, unknown>]>([
    ["exp missing", { exp: undefined }],
    ["exp not a number", { exp: "never" }],
    ["sub missing", { sub: undefined }],
    ["sub empty", { sub: "" }],
    ["sub too long", { sub: "a".repeat(129) }],
    ["sub with a control character", { sub: "a\nb" }],
    ["sub a number", { sub: 7 }],
    ["sub a list", { sub: ["ann"] }],
    ["role missing", { role: undefined }],
    ["role unknown", { role: "root" }],
    ["role a list", { role: ["user"] }],
    ["tenant missing for a user", { tenant: undefined }],
    ["tenant empty", { tenant: "" }],
    ["tenant empty for a service", { tenant: "", role: "service" }],
    ["tenant null for a service", { tenant: null, role: "service" }],
    ["tenant a number for a service", { tenant: 7, role: "service" }],
    ["tenant with a control character", { tenant: "acme\u0000" }],
    ["tenant too long", { tenant: "a".repeat(129) }],
  ])("is refused with a bad claim: %s", async (_name, claims) => {
    expect(await reasonFrom(authenticate(await mintToken({ claims })))).toBe("TOKEN_INVALID");
  });

  test("may have 128 characters in `sub`, counted as the contract counts them", async () => {
    const sub = "😀".repeat(128);
    expect(await authenticate(await mintToken({ claims: { sub } }))).toMatchObject({ subject: sub });
  });

  test("needs the configured issuer and audience", async () => {
    const strict = bySecret({ issuer: "https://id.example.com", audience: "tidings" });
    const good = { iss: "https://id.example.com", aud: "tidings" };
    expect(await strict(await mintToken({ claims: good }))).toBeDefined();
    expect(await strict(await mintToken({ claims: { ...good, aud: ["other", "tidings"] } }))).toBeDefined();
    for (const claims of [
      { ...good, iss: "https://evil.example.com" },
      { ...good, aud: "other" },
      { iss: good.iss },
      { aud: good.aud },
    ]) {
      expect(await reasonFrom(strict(await mintToken({ claims })))).toBe("TOKEN_INVALID");
    }
  });

  test("leaves the cache when it expires", async () => {
    const clock = new FakeClock(start);
    const caching = bySecret({}, clock);
    const token = await mintToken({ claims: { exp: start / 1000 + 60 } });
    expect(await caching(token)).toBeDefined();
    clock.set(start + 59_999);
    expect(await caching(token)).toBeDefined();
    clock.set(start + 60_000);
    expect(await reasonFrom(caching(token))).toBe("TOKEN_EXPIRED");
    expect(await reasonFrom(caching(token))).toBe("TOKEN_EXPIRED");
  });
});

describe("The Authorization header", () => {
  test.each([
    ["Bearer abc", "abc"],
    ["bearer abc", "abc"],
    ["BEARER   abc ", "abc"],
    ["Bearer", undefined],
    ["Bearer ", undefined],
    ["Bearer a b", undefined],
    ["Basic abc", undefined],
    ["abc", undefined],
    ["", undefined],
    [null, undefined],
  ])("%j carries the token %j", (header, token) => {
    expect(bearerToken(header)).toBe(token);
  });
});

describe("A token signed with a key of a key set", () => {
  const algorithms = ["RS256", "PS256", "ES256", "EdDSA"] as const;
  const keys = new Map<string, CryptoKey>();
  const published: JWK[] = [];
  let server: Server;
  let url: string;
  let answer: { status: number; body: string };

  beforeAll(async () => {
    for (const alg of algorithms) {
      const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
      keys.set(alg, privateKey);
      published.push({ ...(await exportJWK(publicKey)), kid: `${alg}-1`, alg, use: "sig" });
    }
    answer = { status: 200, body: JSON.stringify({ keys: published }) };
    server = createServer((_request, response) => {
      response.writeHead(answer.status, { "content-type": "application/json" }).end(answer.body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  function sign(alg: string, kid: string | undefined = `${alg}-1`): Promise<string> {
    return mintToken({ alg, ...(kid === "" ? {} : { kid }), key: keys.get(alg) as CryptoKey });
  }

  function byKeySet(jwksUrl = url): Authenticate {
    return createAuthenticate({ jwksUrl }, new FakeClock(start));
  }

  test.each(algorithms)("is accepted with the algorithm %s", async (alg) => {
    expect(await byKeySet()(await sign(alg))).toMatchObject({ subject: "ann", tenant: "acme" });
  });

  test("is refused when it names an unknown key", async () => {
    expect(await reasonFrom(byKeySet()(await sign("ES256", "ES256-2")))).toBe("TOKEN_INVALID");
  });

  test("is refused when its HMAC secret is the text of a public key", async () => {
    const key = new TextEncoder().encode(JSON.stringify(published[0]));
    const token = await mintToken({ alg: "HS256", kid: "RS256-1", key });
    expect(await reasonFrom(byKeySet()(token))).toBe("TOKEN_INVALID");
  });

  test("is refused for good, without a retry, when several keys match and it names none", async () => {
    const { publicKey } = await generateKeyPair("ES256", { extractable: true });
    const second = { ...(await exportJWK(publicKey)), kid: "ES256-2", alg: "ES256" };
    answer = { status: 200, body: JSON.stringify({ keys: [...published, second] }) };
    try {
      expect(await reasonFrom(byKeySet()(await sign("ES256", "")))).toBe("TOKEN_INVALID");
    } finally {
      answer = { status: 200, body: JSON.stringify({ keys: published }) };
    }
  });

  test.each([
    ["fails", { status: 500, body: "" }],
    ["answers with something else", { status: 200, body: "<html>" }],
    ["answers with no keys", { status: 200, body: "{}" }],
  ])("gets a retryable error when the key server %s", async (_name, broken) => {
    const good = answer;
    answer = broken;
    try {
      expect(await reasonFrom(byKeySet()(await sign("ES256")))).toBe("KEYS_UNAVAILABLE");
    } finally {
      answer = good;
    }
  });

  test("gets a retryable error while the key server is down, unless it is cached", async () => {
    const other = createServer((_request, response) => response.end(JSON.stringify({ keys: published })));
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const otherUrl = `http://127.0.0.1:${(other.address() as AddressInfo).port}/`;
    const authenticate = byKeySet(otherUrl);
    const token = await sign("ES256");
    expect(await authenticate(token)).toBeDefined();
    other.closeAllConnections();
    await new Promise((resolve) => other.close(resolve));
    expect(await authenticate(token)).toBeDefined();
    expect(await reasonFrom(byKeySet(otherUrl)(token))).toBe("KEYS_UNAVAILABLE");
  });
});
