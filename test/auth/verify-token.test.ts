import { createHmac } from "node:crypto";
import { base64url, compactVerify } from "jose";
import { describe, expect, test } from "vitest";
import { type Authenticate, bearerToken, TokenVerifier } from "../../src/auth/verify-token.ts";
import type { AuthOptions } from "../../src/auth-options.ts";
import { resolveOptions } from "../../src/options.ts";
import { FakeClock, seededRandom } from "../support/clock.ts";
import { reasonFrom } from "../support/core.ts";
import { mintToken as mint, secret, type TokenParts } from "../support/token.ts";
import { badUrls } from "../support/urls.ts";

const start = 1_800_000_000_000;
const seconds = start / 1000;
const tokenExpiry = seconds + 86_400;
const dayS = 86_400;

function mintToken({ claims, ...parts }: TokenParts = {}): Promise<string> {
  return mint({ ...parts, claims: { exp: tokenExpiry, ...claims } });
}

function bySecret(more: Partial<AuthOptions> = {}, clock = new FakeClock(start)): Authenticate {
  const { auth } = resolveOptions({ data: ":memory:", auth: { secret, ...more } });
  return new TokenVerifier(auth, { clock, random: seededRandom() }).authenticate;
}

function base64urlText(encoded: string): string {
  return Buffer.from(encoded, "base64url").toString();
}

/** Returns the sentence with which a token is refused. */
function refusal(authenticate: Authenticate, token: string): Promise<string> {
  return authenticate(token).then(
    () => "accepted",
    (error: Error) => error.message,
  );
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
      name: "",
      avatarUrl: "",
      rooms: [],
      publish: [],
      takeover: [],
    };
    expect(await authenticate(token)).toMatchObject(ann);
    expect(await authenticate(token)).toBe(await authenticate(token));
  });

  test.each([
    ["Ada Lovelace", "https://a.example/ada.png?s=64"],
    ["阿达", "/img/阿达.png"],
    ["x".repeat(256), `http://${"x".repeat(2041)}`],
  ])("names its user and the picture: %s", async (name, picture) => {
    const token = await mintToken({ claims: { name, picture } });
    expect(await authenticate(token)).toMatchObject({ name, avatarUrl: picture });
  });

  test.each(badUrls)("names no picture that the contract refuses: %j", async (picture) => {
    expect(await authenticate(await mintToken({ claims: { picture } }))).toMatchObject({ avatarUrl: "" });
  });

  test.each([
    [7, 7],
    ["x".repeat(257), `http://${"x".repeat(2042)}`],
    ["a\u0000b", "javascript:alert(1)"],
    ["a\ud800", "data:image/png;base64,AAAA"],
    [{ en: "Ada" }, "https://ada@a.example/"],
    [null, "/a b.png"],
    ["a\nb", "ada.png"],
  ])("works without a name and a picture that no message may have: %j", async (name, picture) => {
    const token = await mintToken({ claims: { name, picture } });
    expect(await authenticate(token)).toMatchObject({ subject: "ann", name: "", avatarUrl: "" });
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

  test("is accepted in exactly the spellings that jose accepts", async () => {
    const [header = "", payload = "", signature = ""] = (await mintToken()).split(".");
    const signed = (head: string, body: string) => {
      return `${head}.${body}.${createHmac("sha256", secret).update(`${head}.${body}`).digest("base64url")}`;
    };
    const parts = [
      payload,
      `${payload}=`,
      `${payload}==`,
      `${payload}A`,
      `${payload}AA`,
      `${payload}+`,
      ` ${payload}`,
      "",
    ];
    const tokens = [
      ...parts.flatMap((body) => [`${header}.${body}.${signature}`, signed(header, body), signed(`${header}=`, body)]),
      ...["=", "==", "A", "AA", " ", "\n", ".", ".A", "é"].map((end) => `${header}.${payload}.${signature}${end}`),
      `${header}.${payload}.${signature.slice(0, -1)}`,
      `${header}.${payload}.${signature.slice(0, -1)}${signature.endsWith("A") ? "B" : "A"}`,
    ];
    for (const token of tokens) {
      const key = new TextEncoder().encode(secret);
      const byJose = await compactVerify(token, key, { algorithms: ["HS256"] }).then(
        ({ payload: bytes }) => Buffer.from(bytes).toString(),
        () => undefined,
      );
      const isIntact = byJose === base64urlText(payload);
      expect([token, (await refusal(authenticate, token)) === "accepted"]).toEqual([token, isIntact]);
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

  test.each([{ crit: ["exp"], exp: 1 }, { crit: ["b64"], b64: true }, { crit: [] }, { kid: 7 }, { kid: null }])(
    "is refused with an unknown extension or an invalid key id in its header: %j",
    async (more) => {
      const header = base64url.encode(JSON.stringify({ alg: "HS256", ...more }));
      const [, payload] = (await mintToken()).split(".");
      const key = await crypto.subtle.importKey(
        "raw",
        new TextEncoder().encode(secret),
        { name: "HMAC", hash: "SHA-256" },
        false,
        ["sign"],
      );
      const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(`${header}.${payload}`));
      const token = `${header}.${payload}.${base64url.encode(new Uint8Array(signature))}`;
      expect(await reasonFrom(authenticate(token))).toBe("TOKEN_INVALID");
    },
  );

  test("is refused when it was signed with another algorithm or another secret", async () => {
    expect(await reasonFrom(authenticate(await mintToken({ alg: "HS512" })))).toBe("TOKEN_INVALID");
    const key = new TextEncoder().encode(`${secret}!`);
    expect(await reasonFrom(authenticate(await mintToken({ key })))).toBe("TOKEN_INVALID");
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["exp missing", { exp: undefined }, /`exp` is missing/],
    ["exp not a number", { exp: "never" }, /`exp` must be a number: seconds since 1970/],
    ["exp null", { exp: null }, /`exp` must be a number/],
    ["nbf not a number", { nbf: "now" }, /`nbf` must be a number/],
    ["iat not a number", { iat: "now" }, /`iat` must be a number/],
    ["sub missing", { sub: undefined }, /`sub` is missing/],
    ["sub empty", { sub: "" }, /`sub` must have 1 to 128 characters/],
    ["sub too long", { sub: "a".repeat(129) }, /`sub` must have 1 to 128 characters/],
    ["sub with a control character", { sub: "a\nb" }, /`sub` .* none of them control characters/],
    ["sub a number", { sub: 42 }, /`sub` must be a string; write a number in quotes/],
    ["sub a list", { sub: ["ann"] }, /`sub` must be a string/],
    ["sub null", { sub: null }, /`sub` must be a string/],
    ["role missing", { role: undefined }, /`role` must be user, service or admin/],
    ["role unknown", { role: "root" }, /`role` must be/],
    ["role a list", { role: ["user"] }, /`role` must be/],
    ["tenant missing for a user", { tenant: undefined }, /`tenant` is missing; a user belongs to a tenant/],
    ["tenant empty", { tenant: "" }, /`tenant` must have/],
    ["tenant empty for a service", { tenant: "", role: "service" }, /`tenant` must have/],
    ["tenant null for a service", { tenant: null, role: "service" }, /`tenant` must be a string/],
    ["tenant a number for a service", { tenant: 7, role: "service" }, /`tenant` must be a string; write a number/],
    ["tenant with a control character", { tenant: "acme\u0000" }, /`tenant` must have/],
    ["tenant too long", { tenant: "a".repeat(129) }, /`tenant` must have/],
    ["jti a number", { jti: 7 }, /`jti` must be a string; write a number in quotes/],
    ["rooms a text", { rooms: "**" }, /`rooms` must be a list/],
  ])("is refused with a bad claim: %s", async (_name, claims, sentence) => {
    const token = await mintToken({ claims });
    expect(await reasonFrom(authenticate(token))).toBe("TOKEN_INVALID");
    expect(await refusal(authenticate, token)).toMatch(sentence);
  });

  test.each([null, [], "ann", 7])("is refused when its payload is %j", async (claims) => {
    const key = await crypto.subtle.importKey(
      "raw",
      new TextEncoder().encode(secret),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["sign"],
    );
    const signed = `${base64url.encode('{"alg":"HS256"}')}.${base64url.encode(JSON.stringify(claims))}`;
    const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(signed));
    const token = `${signed}.${base64url.encode(new Uint8Array(signature))}`;
    expect(await refusal(authenticate, token)).toMatch(/payload is not a JSON object/);
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
      { ...good, iss: [good.iss] },
      { ...good, aud: "other" },
      { ...good, aud: ["other"] },
      { iss: good.iss },
      { aud: good.aud },
    ]) {
      expect(await reasonFrom(strict(await mintToken({ claims })))).toBe("TOKEN_INVALID");
    }
  });

  test("leaves the cache when it expires", async () => {
    const clock = new FakeClock(start);
    const caching = bySecret({}, clock);
    const token = await mintToken({ claims: { exp: seconds + 60 } });
    expect(await caching(token)).toBeDefined();
    clock.set(start + 59_999);
    expect(await caching(token)).toBeDefined();
    clock.set(start + 60_000);
    expect(await reasonFrom(caching(token))).toBe("TOKEN_EXPIRED");
    expect(await reasonFrom(caching(token))).toBe("TOKEN_EXPIRED");
  });
});

describe("The times of a token", () => {
  const authenticate = bySecret();

  test("end its validity exactly at `exp`, to the millisecond and without leeway", async () => {
    for (const exp of [seconds - 1, seconds, seconds - 0.001]) {
      expect(await reasonFrom(authenticate(await mintToken({ claims: { exp } })))).toBe("TOKEN_EXPIRED");
    }
    const token = await mintToken({ claims: { exp: seconds + 0.75 } });
    expect(await authenticate(token)).toMatchObject({ expireTime: start + 750 });
  });

  test.each(["nbf", "iat"])("allow `%s` up to 30 s in the future, with fractions", async (claim) => {
    for (const ahead of [-1e6, -0.5, 0, 0.001, 2, 29.999, 30]) {
      expect(await authenticate(await mintToken({ claims: { [claim]: seconds + ahead } })), `${ahead}`).toBeDefined();
    }
    const early = await mintToken({ claims: { [claim]: seconds + 30.5 } });
    expect(await reasonFrom(authenticate(early))).toBe("TOKEN_INVALID");
    expect(await refusal(authenticate, early)).toMatch(
      `\`${claim}\` is 31 s in the future; compare the issuer's clock`,
    );
  });

  test("follow the configured leeway, which may be 0", async () => {
    const strict = bySecret({ leewayMs: 0 });
    const lenient = bySecret({ leewayMs: 120_000 });
    const now = await mintToken({ claims: { nbf: seconds + 0.0004, iat: seconds } });
    const ahead = await mintToken({ claims: { nbf: seconds + 0.001 } });
    const minutes = await mintToken({ claims: { iat: seconds + 120 } });
    expect(await strict(now)).toBeDefined();
    expect(await reasonFrom(strict(ahead))).toBe("TOKEN_INVALID");
    expect(await lenient(minutes)).toBeDefined();
    expect(await reasonFrom(strict(minutes))).toBe("TOKEN_INVALID");
  });

  test("do not keep a token that was early from being accepted later", async () => {
    const clock = new FakeClock(start);
    const later = bySecret({}, clock);
    const token = await mintToken({ claims: { nbf: seconds + 60 } });
    expect(await reasonFrom(later(token))).toBe("TOKEN_INVALID");
    clock.set(start + 30_000);
    expect(await later(token)).toBeDefined();
  });

  test("must end its validity within 400 days, so that milliseconds by mistake do not make it eternal", async () => {
    expect(await authenticate(await mintToken({ claims: { exp: seconds + 400 * dayS } }))).toBeDefined();
    const long = await mintToken({ claims: { exp: seconds + 400 * dayS + 1 } });
    expect(await reasonFrom(authenticate(long))).toBe("TOKEN_INVALID");
    expect(await refusal(authenticate, long)).toMatch(
      "`exp` is more than 400 days away; give the token a shorter life",
    );
    const inMilliseconds = await mintToken({ claims: { exp: start + 3_600_000 } });
    expect(await refusal(authenticate, inMilliseconds)).toMatch("`exp` is in milliseconds; divide it by 1,000");
    for (const claim of ["nbf", "iat"]) {
      const token = await mintToken({ claims: { [claim]: start } });
      expect(await refusal(authenticate, token)).toMatch(`\`${claim}\` is in milliseconds`);
    }
  });

  test("must end its validity within the configured number of days", async () => {
    const short = bySecret({ maxTokenDays: 1 });
    expect(await short(await mintToken({ claims: { exp: seconds + dayS } }))).toBeDefined();
    expect(await reasonFrom(short(await mintToken({ claims: { exp: seconds + dayS + 1 } })))).toBe("TOKEN_INVALID");
    const long = bySecret({ maxTokenDays: 4_000 });
    expect(await long(await mintToken({ claims: { exp: seconds + 3_999 * dayS } }))).toBeDefined();
  });
});

describe("A rotation of the secret", () => {
  const fresh = "the next secret of the tests, 987654";
  const [oldKey, newKey] = [secret, fresh].map((text) => new TextEncoder().encode(text)) as [Uint8Array, Uint8Array];

  test("accepts tokens of both secrets while both are configured", async () => {
    const both = bySecret({ secret: [fresh, secret] });
    for (const key of [oldKey, newKey]) {
      const token = await mintToken({ key });
      expect(await both(token)).toMatchObject({ subject: "ann" });
      expect(await both(token)).toMatchObject({ subject: "ann" });
    }
    const other = new TextEncoder().encode("a secret that is not configured, 12");
    expect(await reasonFrom(both(await mintToken({ key: other })))).toBe("TOKEN_INVALID");
  });

  test("names the fault of a token, whichever secret signed it", async () => {
    const both = bySecret({ secret: [fresh, secret] });
    expect(await refusal(both, await mintToken({ key: oldKey, claims: { sub: 42 } }))).toMatch("must be a string");
    expect(await reasonFrom(both(await mintToken({ key: oldKey, claims: { exp: 1 } })))).toBe("TOKEN_EXPIRED");
  });

  test("ends when the old secret is removed", async () => {
    const rotated = bySecret({ secret: [fresh] });
    expect(await rotated(await mintToken({ key: newKey }))).toBeDefined();
    expect(await reasonFrom(rotated(await mintToken({ key: oldKey })))).toBe("TOKEN_INVALID");
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

  test.each(["Bearer a, Bearer b", "Bearer a, Bearer a", "Bearer a,", "Basic a, Bearer b", ", Bearer a"])(
    "%j is refused as several headers",
    async (header) => {
      expect(await reasonFrom(() => bearerToken(header))).toBe("TOKEN_INVALID");
    },
  );
});

test("A secret that is replaced is refused from then on, also for cached tokens, and one that stays is not", async () => {
  const [old, kept, fresh] = ["1", "2", "3"].map((digit) => `${digit}k3yF0rTe5ts-0nly-q8Zr2Vw6Xn4Bm1Lc`) as [
    string,
    string,
    string,
  ];
  let withdrawn = 0;
  const { auth } = resolveOptions({ data: ":memory:", auth: { secret: [old, kept] } });
  const parts = { clock: new FakeClock(start), random: seededRandom(), withdrawn: () => withdrawn++ };
  const verifier = new TokenVerifier(auth, parts);
  const tokenOf = (key: string) => mintToken({ key: new TextEncoder().encode(key) });
  const [oldToken, keptToken, freshToken] = (await Promise.all([old, kept, fresh].map(tokenOf))) as [
    string,
    string,
    string,
  ];
  const former = await verifier.authenticate(oldToken);
  const staying = await verifier.authenticate(keptToken);
  expect(await refusal(verifier.authenticate, freshToken)).toContain("not signed by a known key");
  verifier.replaceSecrets([fresh, kept]);
  expect(withdrawn).toBe(1);
  expect(await refusal(verifier.authenticate, oldToken)).toContain("not signed by a known key");
  expect(former.key?.withdrawn).toBe(true);
  expect(staying.key?.withdrawn).toBe(false);
  expect(await verifier.authenticate(keptToken)).toBe(staying);
  expect((await verifier.authenticate(freshToken)).subject).toBe("ann");
  verifier.replaceSecrets([kept, fresh]);
  expect(withdrawn, "another order withdraws nothing").toBe(1);
});
