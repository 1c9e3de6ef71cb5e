import { exportJWK, generateKeyPair } from "jose";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TokenVerifier } from "../../src/auth/verify-token.ts";
import type { AuthOptions } from "../../src/auth-options.ts";
import { resolveOptions } from "../../src/options.ts";
import { FakeClock, seededRandom } from "../support/clock.ts";
import { reasonFrom } from "../support/core.ts";
import { type IssuerKey, issuerKey, KeyServer } from "../support/key-server.ts";
import { mintToken } from "../support/token.ts";

let server: KeyServer;
let clock: FakeClock;
let withdrawals: number;
let lines: { level: number; msg: string }[];
const verifiers: TokenVerifier[] = [];

beforeEach(async () => {
  server = await KeyServer.start();
  // By default, tokens expire a day after the machine's time.
  clock = new FakeClock(Date.now());
  withdrawals = 0;
  lines = [];
});
afterEach(async () => {
  for (const verifier of verifiers.splice(0)) verifier.close();
  await server.stop();
});

function verifier(options: Partial<AuthOptions> = {}): TokenVerifier {
  const { auth } = resolveOptions({ data: ":memory:", auth: { jwksUrl: server.url, ...options } });
  const made = new TokenVerifier(auth, {
    clock,
    random: seededRandom(),
    logger: pino({ level: "info" }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
    withdrawn: () => void withdrawals++,
  });
  verifiers.push(made);
  return made;
}

/** Advances the clock, and waits until the background fetch that became due has ended. */
async function passUntilFetched(milliseconds: number, made: TokenVerifier): Promise<void> {
  const before = server.requests;
  const { failures = 0 } = made.keySetFigures ?? {};
  await clock.advance(milliseconds);
  await expect.poll(() => server.requests, { timeout: 15_000, interval: 2 }).toBeGreaterThan(before);
  await expect
    .poll(() => (made.keySetFigures?.age ?? 0) * 1000 < milliseconds || made.keySetFigures?.failures !== failures, {
      timeout: 15_000,
      interval: 2,
    })
    .toBe(true);
}

const gone = (response: { writeHead(status: number): { end(): void } }) => response.writeHead(503).end();

describe("A token signed with a key of a key set", () => {
  const algorithms = ["RS256", "PS256", "ES256", "EdDSA"] as const;

  test.each(algorithms)("is accepted with the algorithm %s, whether or not the key names it", async (alg) => {
    const key = await issuerKey("k1", alg, { use: "sig", key_ops: ["verify"] });
    const { alg: _, ...unnamed } = key.jwk;
    for (const jwk of [key.jwk, unnamed]) {
      server.keys = [jwk];
      expect(await verifier().authenticate(await key.sign())).toMatchObject({ subject: "ann", tenant: "acme" });
    }
  });

  test("is accepted without a `kid` where one key matches, and refused where several do", async () => {
    const [one, two] = [await issuerKey("k1"), await issuerKey("k2")];
    server.publish(one);
    const token = await one.sign({}, "");
    expect(await verifier().authenticate(token)).toMatchObject({ subject: "ann" });
    server.publish(one, two);
    const several = verifier();
    expect(await reasonFrom(several.authenticate(token))).toBe("TOKEN_INVALID");
    await expect(several.authenticate(token)).rejects.toThrow("name one in its header `kid`");
    // The same key twice is one key.
    server.publish(one, one);
    expect(await verifier().authenticate(token)).toMatchObject({ subject: "ann" });
  });

  test("is refused when its HMAC secret is the text of a public key", async () => {
    const key = await issuerKey("k1", "RS256");
    server.publish(key);
    const forged = new TextEncoder().encode(JSON.stringify(key.jwk));
    const token = await mintToken({ alg: "HS256", kid: "k1", key: forged });
    expect(await reasonFrom(verifier().authenticate(token))).toBe("TOKEN_INVALID");
  });

  test("is refused when the key is for another use, another algorithm, too short, symmetric or private", async () => {
    const rsa = await issuerKey("k1", "RS256");
    const token = await rsa.sign();
    const { privateKey } = await generateKeyPair("RS256", { extractable: true });
    for (const jwk of [
      { ...rsa.jwk, use: "enc" },
      { ...rsa.jwk, key_ops: ["encrypt"] },
      { ...rsa.jwk, key_ops: "verify" },
      { ...rsa.jwk, alg: "PS256" },
      { ...rsa.jwk, alg: null },
      { ...rsa.jwk, n: rsa.jwk.n?.slice(0, 171) },
      { ...rsa.jwk, n: 7 },
      { ...(await exportJWK(privateKey)), kid: "k1", alg: "RS256" },
      { kty: "oct", k: "c2VjcmV0", kid: "k1", alg: "HS256" },
      { kty: "RSA", kid: "k1" },
      null,
      "k1",
      [],
    ]) {
      server.keys = [jwk];
      expect(await reasonFrom(verifier().authenticate(token)), JSON.stringify(jwk)).toBe("TOKEN_INVALID");
    }
  });

  test("is refused if its key cannot be used, while another key of the set still works", async () => {
    const [good, other] = [await issuerKey("good"), await issuerKey("bad")];
    server.keys = [{ ...other.jwk, x: "" }, good.jwk];
    const made = verifier();
    expect(await made.authenticate(await good.sign())).toMatchObject({ subject: "ann" });
    expect(await reasonFrom(made.authenticate(await other.sign()))).toBe("TOKEN_INVALID");
    expect(lines.filter(({ msg }) => msg === "a key of the key set is not used")).toHaveLength(1);
    await passUntilFetched(300_000, made);
    expect(lines.filter(({ msg }) => msg === "a key of the key set is not used")).toHaveLength(1);
  });
});

describe("A withdrawn key", () => {
  let leaked: IssuerKey;
  let fresh: IssuerKey;
  beforeEach(async () => {
    [leaked, fresh] = [await issuerKey("leaked"), await issuerKey("fresh")];
    server.publish(leaked);
  });

  test("invalidates cached tokens as soon as a token of a new key causes a fetch", async () => {
    const made = verifier();
    const seen = await leaked.sign({ role: "admin" });
    const identity = await made.authenticate(seen);
    expect(identity.key?.withdrawn).toBe(false);
    server.publish(fresh);
    await clock.advance(10_000);
    expect(await made.authenticate(await fresh.sign())).toMatchObject({ subject: "ann" });
    expect(await reasonFrom(made.authenticate(seen))).toBe("TOKEN_INVALID");
    expect(await reasonFrom(made.authenticate(await leaked.sign()))).toBe("TOKEN_INVALID");
    expect([identity.key?.withdrawn, withdrawals]).toEqual([true, 1]);
  });

  test("is noticed by a fetch in the background, within the refresh interval", async () => {
    const made = verifier({ jwksRefreshMs: 60_000 });
    const seen = await leaked.sign();
    await made.authenticate(seen);
    server.publish(leaked, fresh);
    await passUntilFetched(60_000, made);
    expect([await made.authenticate(seen), withdrawals]).toMatchObject([{ subject: "ann" }, 0]);
    server.publish(fresh);
    await passUntilFetched(60_000, made);
    expect(await reasonFrom(made.authenticate(seen))).toBe("TOKEN_INVALID");
    expect(withdrawals).toBe(1);
  });

  test("is not trusted because another key has its `kid`, and is trusted again when it returns", async () => {
    const namesake = await issuerKey("leaked");
    const made = verifier({ jwksRefreshMs: 60_000 });
    const seen = await leaked.sign();
    await made.authenticate(seen);
    server.publish(namesake);
    await passUntilFetched(60_000, made);
    expect(await reasonFrom(made.authenticate(seen))).toBe("TOKEN_INVALID");
    expect(await made.authenticate(await namesake.sign())).toMatchObject({ subject: "ann" });
    server.publish(leaked);
    await passUntilFetched(60_000, made);
    expect(await made.authenticate(seen)).toMatchObject({ subject: "ann" });
  });

  test("is not one whose description changes while its key stays the same", async () => {
    const made = verifier({ jwksRefreshMs: 60_000 });
    const seen = await leaked.sign();
    await made.authenticate(seen);
    server.keys = [fresh.jwk, { use: "sig", x5t: "abc", ...leaked.jwk }];
    await passUntilFetched(60_000, made);
    expect([await made.authenticate(seen), withdrawals]).toMatchObject([{ subject: "ann" }, 0]);
  });

  test("is every known key after an empty set was fetched", async () => {
    const made = verifier({ jwksRefreshMs: 60_000 });
    const seen = await leaked.sign();
    await made.authenticate(seen);
    server.publish();
    await passUntilFetched(60_000, made);
    expect(await reasonFrom(made.authenticate(seen))).toBe("TOKEN_INVALID");
  });
});

describe("The fetch of the key set", () => {
  let key: IssuerKey;
  beforeEach(async () => {
    key = await issuerKey("k1");
    server.publish(key);
  });

  test("happens at the start, once for all callers that wait for it", async () => {
    const made = verifier();
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, index) => key.sign({ jti: `${index}` })));
    await Promise.all(tokens.map((token) => made.authenticate(token)));
    expect(server.requests).toBe(1);
  });

  test("is caused by unknown keys at most once in 10 s", async () => {
    const made = verifier();
    await made.authenticate(await key.sign());
    const unknown = await Promise.all(Array.from({ length: 20 }, (_, index) => key.sign({}, `invented-${index}`)));
    const refuseAll = async () => {
      for (const reason of await Promise.all(unknown.map((token) => reasonFrom(made.authenticate(token))))) {
        expect(reason).toBe("TOKEN_INVALID");
      }
    };
    await clock.advance(9_999);
    await refuseAll();
    expect(server.requests).toBe(1);
    await clock.advance(1);
    await refuseAll();
    expect(server.requests).toBe(2);
    await refuseAll();
    expect(server.requests).toBe(2);
    // A clock that is set does not change the cool-down.
    clock.jump(3_600_000);
    await refuseAll();
    clock.jump(-7_200_000);
    await refuseAll();
    expect(server.requests).toBe(2);
    await clock.advance(10_000);
    await refuseAll();
    expect(server.requests).toBe(3);
  });

  test("is cancelled when the verifier closes", async () => {
    const made = verifier();
    await made.authenticate(await key.sign());
    expect(clock.pending).toBe(1);
    made.close();
    expect(clock.pending).toBe(0);
    server.answer = () => {};
    const hanging = verifier();
    await expect.poll(() => server.requests, { timeout: 15_000, interval: 2 }).toBe(2);
    hanging.close();
    expect(await reasonFrom(hanging.authenticate(await key.sign()))).toBe("KEYS_UNAVAILABLE");
    expect(clock.pending).toBe(0);
  });

  test.each<[string, KeyServer["answer"]]>([
    ["fails", (response) => response.writeHead(500).end()],
    ["responds with HTML", (response) => response.end("<html>")],
    ["responds without keys", (response) => response.end("{}")],
    ["responds with null", (response) => response.end("null")],
    ["responds with keys that are not a list", (response) => response.end('{"keys":{"length":1}}')],
    ["closes the connection", (response) => response.destroy()],
    ["redirects", (response) => response.writeHead(302, { location: "/other.json" }).end()],
    [
      "sends more than 64 KiB",
      (response) => response.end(JSON.stringify({ keys: [key.jwk], filler: "x".repeat(64 * 1024) })),
    ],
    [
      "never stops sending",
      (response) => {
        const more = (): void => void (response.destroyed || response.write("x".repeat(16_384), more));
        more();
      },
    ],
  ])("gives callers a retryable error when the key server %s", async (_name, answer) => {
    server.answer = answer;
    const made = verifier();
    expect(await reasonFrom(made.authenticate(await key.sign()))).toBe("KEYS_UNAVAILABLE");
    expect(made.keySetFigures?.failures).toBe(1);
    expect(lines).toMatchObject([{ level: 40, msg: "the key set cannot be fetched, so no token can be verified" }]);
  });

  test("accepts a set of 64 KiB", async () => {
    const bare = JSON.stringify({ keys: [key.jwk], filler: "" }).length;
    const body = JSON.stringify({ keys: [key.jwk], filler: "x".repeat(64 * 1024 - bare) });
    server.answer = (response) => response.end(body);
    expect(body).toHaveLength(64 * 1024);
    expect(await verifier().authenticate(await key.sign())).toMatchObject({ subject: "ann" });
  });

  test("is repeated by the next caller a second after it failed", async () => {
    server.answer = gone;
    const made = verifier();
    const token = await key.sign();
    expect(await reasonFrom(made.authenticate(token))).toBe("KEYS_UNAVAILABLE");
    server.answer = undefined;
    expect(await reasonFrom(made.authenticate(token))).toBe("KEYS_UNAVAILABLE");
    expect(server.requests).toBe(1);
    clock.set(clock.now() + 1_000);
    expect(await made.authenticate(token)).toMatchObject({ subject: "ann" });
    expect(server.requests).toBe(2);
  });

  test("is repeated in the background within 31 s after it failed", async () => {
    server.answer = gone;
    const made = verifier();
    expect(await reasonFrom(made.authenticate(await key.sign()))).toBe("KEYS_UNAVAILABLE");
    for (let failures = 2; failures < 9; failures++) {
      await passUntilFetched(31_000, made);
      await expect
        .poll(() => made.keySetFigures?.failures, { timeout: 15_000, interval: 2 })
        .toBeGreaterThanOrEqual(failures);
      await expect.poll(() => clock.pending, { timeout: 15_000, interval: 2 }).toBe(1);
    }
    server.answer = undefined;
    await passUntilFetched(31_000, made);
    expect(await made.authenticate(await key.sign())).toMatchObject({ subject: "ann" });
  });
});

describe("While the key server is away", () => {
  let key: IssuerKey;
  let made: TokenVerifier;
  let seen: string;
  beforeEach(async () => {
    key = await issuerKey("k1");
    server.publish(key);
    made = verifier({ jwksMaxStaleMs: 600_000 });
    seen = await key.sign();
    await made.authenticate(seen);
    server.answer = gone;
  });

  test("the last known keys verify tokens, cached or not, for a bounded time", async () => {
    await passUntilFetched(300_000, made);
    clock.set(clock.now() + 299_000);
    expect(await made.authenticate(seen)).toMatchObject({ subject: "ann" });
    expect(await made.authenticate(await key.sign({ jti: "new" }))).toMatchObject({ tokenId: "new" });
    clock.set(clock.now() + 1_001);
    expect(await reasonFrom(made.authenticate(seen))).toBe("KEYS_UNAVAILABLE");
    expect(await reasonFrom(made.authenticate(await key.sign()))).toBe("KEYS_UNAVAILABLE");
    expect(made.keySetFigures?.age).toBeGreaterThan(600);
    server.answer = undefined;
    clock.set(clock.now() + 1_000);
    expect(await made.authenticate(seen)).toMatchObject({ subject: "ann" });
    expect(made.keySetFigures?.age).toBe(0);
  });

  test("a token of an unknown key gets a retryable error, because the key may be new", async () => {
    const unknown = await (await issuerKey("k2")).sign();
    await clock.advance(10_000);
    expect(await reasonFrom(made.authenticate(unknown))).toBe("KEYS_UNAVAILABLE");
    expect(await reasonFrom(made.authenticate(unknown))).toBe("KEYS_UNAVAILABLE");
    expect(server.requests).toBe(2);
    expect(await made.authenticate(seen)).toMatchObject({ subject: "ann" });
  });

  test("no call waits for a fetch that follows a failed one", async () => {
    await passUntilFetched(300_000, made);
    server.answer = () => {};
    await passUntilRequested(31_000);
    clock.set(clock.now() + 600_000);
    expect(await reasonFrom(made.authenticate(seen))).toBe("KEYS_UNAVAILABLE");
  });

  async function passUntilRequested(milliseconds: number): Promise<void> {
    const before = server.requests;
    await expect.poll(() => clock.pending, { timeout: 15_000, interval: 2 }).toBe(1);
    await clock.advance(milliseconds);
    await expect.poll(() => server.requests, { timeout: 15_000, interval: 2 }).toBeGreaterThan(before);
  }
});
