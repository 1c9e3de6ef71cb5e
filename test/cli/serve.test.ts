import { describe, expect, test, vi } from "vitest";
import { FakeServer } from "./fake-server.ts";
import { Folder, run, secret, start } from "./harness.ts";

const env = { TIDINGS_JWT_SECRET: secret };

describe("tidings serve", () => {
  test("prints one line of JSON when it is ready, and drains at a signal", async () => {
    const server = new FakeServer();
    const running = start(["serve", "--port", "0", "--drain", "2s", "--allowed-origins", "*"], env, server);
    await vi.waitFor(() => expect(running.stdout()).not.toBe(""));
    expect(JSON.parse(running.stdout())).toEqual({
      address: "http://127.0.0.1:4321",
      host: "127.0.0.1",
      port: 4321,
      pid: process.pid,
    });
    expect(running.stdout()).toMatch(/^[^\n]+\n$/);
    expect(server.at).toEqual({ host: "127.0.0.1", port: 0 });
    expect(server.options).toMatchObject({
      data: "./tidings-data",
      auth: { secret },
      drainMs: 2_000,
      allowedOrigins: ["*"],
    });
    expect(server.closed).toBe(0);
    expect(running.signal()).toBe(true);
    expect(await running.code).toBe(0);
    expect(server.closed).toBe(1);
    expect(running.stderr()).toBe("");
    expect(running.signal(), "listeners are gone").toBe(false);
  });

  test("a second signal cuts the draining short", async () => {
    const server = new FakeServer();
    server.closing = new Promise(() => {});
    let now = 0;
    const running = start(["serve"], env, { createTidings: server.createTidings, now: () => now });
    await vi.waitFor(() => expect(running.stdout()).not.toBe(""));
    running.signal();
    await vi.waitFor(() => expect(server.closed).toBe(1));
    now = 200;
    running.signal();
    expect(await running.code).toBe(1);
  });

  test("a signal that arrives twice at once counts once", async () => {
    const server = new FakeServer();
    const closing = Promise.withResolvers<void>();
    server.closing = closing.promise;
    const running = start(["serve"], env, server);
    await vi.waitFor(() => expect(running.stdout()).not.toBe(""));
    running.signal();
    running.signal();
    await vi.waitFor(() => expect(server.closed).toBe(1));
    closing.resolve();
    expect(await running.code).toBe(0);
  });

  test("a signal during the start still closes the server", async () => {
    const server = new FakeServer();
    const running = start(["serve"], env, {
      createTidings: async (options) => {
        expect(running.signal()).toBe(true);
        return server.createTidings(options);
      },
    });
    expect(await running.code).toBe(0);
    expect(server.closed).toBe(1);
  });

  test("draining that fails is told", async () => {
    const server = new FakeServer();
    server.closing = Promise.reject(new Error("the disk is full"));
    server.closing.catch(() => {});
    const running = start(["serve"], env, server);
    await vi.waitFor(() => expect(running.stdout()).not.toBe(""));
    running.signal();
    expect(await running.code).toBe(1);
    expect(running.stderr()).toBe("error: the disk is full\n");
  });

  test.each([
    [[], {}, /serve needs a key to check tokens with: set TIDINGS_JWT_SECRET/],
    [[], { TIDINGS_JWT_SECRET: "password" }, /the JWT secret is too weak/],
    [[], { TIDINGS_JWT_SECRET: "a".repeat(64) }, /the JWT secret is too weak/],
    [["--jwt-jwks-url", "https://id.example/jwks"], env, /exclude each other/],
    [["--jwt-secret-file", "/some/file"], env, /exclude each other/],
    [["--tls-key", "/some/file"], env, /--tls-key needs --tls-cert/],
    [["--tls-cert", "/some/file"], env, /--tls-cert needs --tls-key/],
    [["--authorize-token", "s3cret"], env, /--authorize-token needs --authorize-url/],
    [["--authorize-url", "ftp://x"], env, /--authorize-url: must be an http or https URL/],
    [["--authorize-url", "http://a:b@x"], env, /--authorize-url: must be an http or https URL without user/],
    [["--authorize-url", "http://x", "--authorize-token", "a b"], env, /--authorize-token: must be text of visible/],
  ])("%j refuses to start", async (argv, environment, message) => {
    const server = new FakeServer();
    const { code, stdout, stderr } = await run(["serve", ...argv], environment, server);
    expect({ code, stdout, options: server.options }).toEqual({ code: 2, stdout: "", options: undefined });
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain("TIDINGS_JWT_SECRET" in environment ? environment.TIDINGS_JWT_SECRET : secret);
  });

  test("a key set, an issuer and an audience reach the server", async () => {
    const server = new FakeServer();
    const argv = ["serve", "--jwt-jwks-url", "https://id.example/jwks", "--jwt-issuer", "me", "--jwt-audience", "you"];
    const running = start(argv, {}, server);
    await vi.waitFor(() => expect(running.signal() && running.stdout()).toBeTruthy());
    await running.code;
    expect(server.options?.auth).toEqual({ jwksUrl: "https://id.example/jwks", issuer: "me", audience: "you" });
  });

  test("the authorize hook and the alert window reach the server", async () => {
    const started = async (argv: string[], environment: Record<string, string> = {}) => {
      const server = new FakeServer();
      const running = start(["serve", ...argv], { ...env, ...environment }, server);
      await vi.waitFor(() => expect(running.signal() && running.stdout()).toBeTruthy());
      await running.code;
      return server.options;
    };
    const url = "http://backend/may?v=1";
    expect(await started(["--authorize-url", url])).toMatchObject({
      authorize: { url, timeoutMs: 2_000, cacheMs: 30_000 },
      alertMs: 300_000,
    });
    const argv = ["--authorize-url", url, "--authorize-timeout", "500ms", "--authorize-cache", "0ms"];
    const options = await started([...argv, "--alert-window", "1m"], { TIDINGS_AUTHORIZE_TOKEN: "s3cret" });
    expect(options).toMatchObject({
      authorize: { url, token: "s3cret", timeoutMs: 500, cacheMs: 0 },
      alertMs: 60_000,
    });
    expect(await started([])).not.toHaveProperty("authorize");
  });

  test.each([
    ["EADDRINUSE", "port 7300 on 127.0.0.1 is in use; choose another with --port, or 0 for any free one"],
    ["EACCES", "port 7300 on 127.0.0.1 is not allowed to this user; choose one above 1023 with --port"],
    ["ENOTFOUND", "127.0.0.1 is not an address of this machine; choose another with --host"],
    ["EWHATEVER", "it broke"],
  ])("%s is one clear sentence, and the store is closed", async (errno, sentence) => {
    const server = new FakeServer();
    server.listenError = Object.assign(new Error("it broke"), { code: errno });
    const { code, stdout, stderr } = await run(["serve"], env, server);
    expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: "", stderr: `error: ${sentence}\n` });
    expect(server.closed).toBe(1);
  });

  test("a store that cannot be opened is one clear sentence", async () => {
    const createTidings = () => Promise.reject(new Error("data folder x is in use by another process"));
    const { code, stderr } = await run(["serve"], env, { createTidings });
    expect({ code, stderr }).toEqual({ code: 1, stderr: "error: data folder x is in use by another process\n" });
  });

  test("files that are no key and certificate are found before the start", async () => {
    using folder = new Folder();
    const argv = ["serve", "--tls-key", folder.file("key", "no"), "--tls-cert", folder.file("cert", "no")];
    const { code, stderr } = await run(argv, env);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: --tls-key, --tls-cert: .* are not a PEM key and its certificate\n$/);
  });
});
