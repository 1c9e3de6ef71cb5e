import { jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import { mintToken } from "../../../src/auth/mint-token.ts";
import { Folder, run, secret } from "../harness.ts";

const now = Date.parse("2026-11-03T10:00:00Z");
const env = { TIDINGS_JWT_SECRET: secret };

async function claimsOf(token: string) {
  const { payload, protectedHeader } = await jwtVerify(token.trim(), new TextEncoder().encode(secret), {
    currentDate: new Date(now),
  });
  expect(protectedHeader.alg).toBe("HS256");
  return payload;
}

describe("tidings token", () => {
  test("prints a token that a server with the secret accepts", async () => {
    const argv = [
      "token",
      "--sub",
      "ada",
      "--tenant",
      "acme",
      "--role",
      "user",
      "--ttl",
      "15m",
      "--aud",
      "app",
      "--iss",
      "me",
    ];
    const { code, stdout, stderr } = await run(argv, env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const iat = now / 1000;
    expect(await claimsOf(stdout)).toEqual({
      sub: "ada",
      tenant: "acme",
      role: "user",
      iat,
      exp: iat + 900,
      aud: "app",
      iss: "me",
    });
  });

  test("sets the id and the rooms, and keeps commas in ids of rooms", async () => {
    const rooms = ["team/*", "inbox/{sub}", "a,b"];
    const argv = rooms.flatMap((room) => ["--room", room]);
    argv.push(
      "--can-publish",
      "team/*",
      "--can-take-over",
      "desk/{sub}",
      "--id",
      "session-7",
      "--name",
      "Ada",
      "--picture",
      "/a.png",
    );
    const { stdout } = await run(["token", "--sub", "ada", "--tenant", "acme", ...argv], env);
    expect(await claimsOf(stdout)).toMatchObject({
      rooms,
      publish: ["team/*"],
      takeover: ["desk/{sub}"],
      jti: "session-7",
      name: "Ada",
      picture: "/a.png",
    });
  });

  test("prints the claims, too, under --json", async () => {
    const { stdout } = await run(["token", "--sub", "ops", "--role", "admin", "--json"], env);
    const { token, claims } = JSON.parse(stdout);
    expect(claims).toEqual({ sub: "ops", role: "admin", iat: now / 1000, exp: now / 1000 + 3600 });
    expect(await claimsOf(token)).toEqual(claims);
  });

  test("sets the issuer and the audience of the server's configuration", async () => {
    const { stdout } = await run(["token", "--sub", "ada", "--tenant", "acme"], {
      ...env,
      TIDINGS_JWT_ISSUER: "https://id.example",
      TIDINGS_JWT_AUDIENCE: "tidings",
    });
    expect(await claimsOf(stdout)).toMatchObject({ iss: "https://id.example", aud: "tidings" });
  });

  test("reads the secret from a file, without its line break", async () => {
    using folder = new Folder();
    const file = folder.file("secret", `${secret}\r\n`);
    const { stdout } = await run(["token", "--sub", "ada", "--tenant", "acme", "--jwt-secret-file", file]);
    expect(await claimsOf(stdout)).toMatchObject({ sub: "ada" });
  });

  test("signs with the first of several secrets", async () => {
    using folder = new Folder();
    const file = folder.file("secrets", `${secret}\nthe-0ld-s3cret-k3yF0rTe5ts-0nly-q8Zr\n`);
    const { stdout } = await run(["token", "--sub", "ada", "--tenant", "acme", "--jwt-secret-file", file]);
    expect(await claimsOf(stdout)).toMatchObject({ sub: "ada" });
  });

  test("accepts --ttl up to the --jwt-max-days of the servers", async () => {
    const argv = ["token", "--sub", "ada", "--tenant", "acme", "--ttl"];
    expect(await run([...argv, "400d"], env)).toMatchObject({ code: 0 });
    const refused = await run([...argv, "401d"], env);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(/--ttl must be at most 400d, which servers accept; set --jwt-max-days/);
    expect(await run([...argv, "401d", "--jwt-max-days", "401"], env)).toMatchObject({ code: 0 });
  });

  test.each([
    [["--sub", "ada", "--tenant", "acme"], {}, /needs the server's secret/],
    [["--sub", "ada", "--tenant", "acme"], { TIDINGS_JWT_SECRET: "replace-me" }, /the JWT secret is a placeholder/],
    [["--sub", "ada", "--tenant", "acme"], { TIDINGS_JWT_SECRET: `${secret}\nshort` }, /JWT secret 2 is too weak/],
    [["--sub", "ada", "--tenant", "acme"], { TIDINGS_JWT_SECRET: "short" }, /too weak/],
    [["--sub", "ada", "--tenant", "acme"], { TIDINGS_JWT_SECRET: "ab".repeat(20) }, /too weak/],
    [["--sub", "ada"], env, /--tenant is required for a user/],
    [["--tenant", "acme"], env, /--sub is required: the id of the user or service/],
    [["--sub", "a".repeat(129), "--tenant", "acme"], env, /--sub: must be a string of 1 to 128 characters/],
    [["--sub", "ada", "--tenant", "a\nb"], env, /--tenant: must be a string of 1 to 128 characters/],
    [["--sub", "ada", "--tenant", "acme", "--role", "king"], env, /--role: must be one of user, service, admin/],
    [["--sub", "ada", "--tenant", "acme", "--ttl", "1ms"], env, /--ttl: must be a number with a unit/],
  ])("refuses %j", async (argv, environment, message) => {
    const { code, stdout, stderr } = await run(["token", ...argv], environment);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
  });

  test("fails with exit code 1 when the secret file cannot be read", async () => {
    const { code, stderr } = await run(["token", "--sub", "a", "--role", "admin", "--jwt-secret-file", "/nowhere"]);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "error: --jwt-secret-file: cannot read /nowhere: no such file\n",
    });
  });
});

describe("mintToken", () => {
  const claims = { sub: "ada", tenant: "acme", role: "user" as const, exp: 2_000_000_000 };

  test("uses the machine's time unless a time is given", async () => {
    const before = Math.floor(Date.now() / 1000);
    const { iat } = await claimsOf(await mintToken(secret, claims));
    expect(iat).toBeGreaterThanOrEqual(before);
    expect(await claimsOf(await mintToken(secret, claims, 1_999_999_999.7))).toMatchObject({ iat: 1_999_999_999 });
  });

  test.each([
    ["secret: too weak", "short", claims],
    ["exp:", secret, { ...claims, exp: 1_000 }],
    ["exp:", secret, { ...claims, exp: Number.NaN }],
    ["sub:", secret, { ...claims, sub: "" }],
    ["tenant:", secret, { ...claims, tenant: "" }],
    ["tenant:", secret, { sub: "ada", role: "user" as const, exp: 2_000_000_000 }],
  ])("rejects with an error that starts with %j", async (message, key, bad) => {
    await expect(mintToken(key, bad, now / 1000)).rejects.toThrow(message);
  });
});
