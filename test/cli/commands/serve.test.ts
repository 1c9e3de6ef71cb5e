import { pino } from "pino";
import { describe, expect, test, vi } from "vitest";
import type { Dependencies } from "../../../src/cli/command.ts";
import { FakeServer } from "../fake-server.ts";
import { Folder, run, secret, start } from "../harness.ts";

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
      auth: { secret: [secret] },
      drainMs: 2_000,
      allowedOrigins: ["*"],
    });
    expect(server.closed).toBe(0);
    expect(running.signal()).toBe(true);
    expect(await running.code).toBe(0);
    expect(server.closed).toBe(1);
    expect(running.stderr()).toBe("");
    expect(running.signal(), "a listener is left").toBe(false);
  });

  test("ends at once at a second signal", async () => {
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

  test("drains and ends with 1 when the store has failed, and says why", async () => {
    const server = new FakeServer();
    const failure = Promise.withResolvers<Error>();
    server.failed = failure.promise;
    const running = start(["serve"], env, server);
    await vi.waitFor(() => expect(running.stdout()).not.toBe(""));
    failure.resolve(new Error("the store's thread died and cannot be restarted"));
    expect(await running.code).toBe(1);
    expect(server.closed).toBe(1);
    expect(running.stderr()).toContain("the store's thread died and cannot be restarted");
  });

  test("counts two signals at the same moment as one", async () => {
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

  test("closes the server after a signal during its start", async () => {
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

  test("reports an error of the drain", async () => {
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
    [[], {}, /serve needs a key to verify tokens: set TIDINGS_JWT_SECRET/],
    [[], { TIDINGS_JWT_SECRET: "password" }, /the JWT secret is too weak/],
    [[], { TIDINGS_JWT_SECRET: "a".repeat(64) }, /the JWT secret is too weak/],
    [[], { TIDINGS_JWT_SECRET: "replace-me-openssl-rand-base64-32" }, /the JWT secret is a placeholder that everybody/],
    [[], { TIDINGS_JWT_SECRET: `${secret}\npassword` }, /JWT secret 2 is too weak/],
    [["--jwt-jwks-url", "http://id.example/jwks"], {}, /--jwt-jwks-url: must be an https URL/],
    [
      ["--jwt-jwks-url", "https://id.example/jwks", "--jwt-jwks-refresh", "2h"],
      {},
      /--jwt-jwks-max-stale must be at least as long as --jwt-jwks-refresh/,
    ],
    [["--jwt-jwks-url", "https://id.example/jwks"], env, /exclude each other/],
    [["--jwt-secret-file", "/some/file"], env, /exclude each other/],
    [["--tls-key", "/some/file"], env, /--tls-key needs --tls-cert/],
    [["--tls-cert", "/some/file"], env, /--tls-cert needs --tls-key/],
    [["--authorize-token", "s3cret"], env, /--authorize-token needs --authorize-url/],
    [["--direct-rooms", "hook"], env, /--direct-rooms hook needs --authorize-url/],
    [["--direct-rooms", "hook", "--workers", "2"], env, /--direct-rooms hook needs --authorize-url/],
    [["--authorize-url", "ftp://x"], env, /--authorize-url: must be an http or https URL/],
    [["--authorize-url", "http://a:b@x"], env, /--authorize-url: must be an http or https URL without user/],
    [["--authorize-url", "http://x", "--authorize-token", "a b"], env, /--authorize-token: must be text of visible/],
  ])("refuses to start with %j and the environment %j", async (argv, environment, message) => {
    const server = new FakeServer();
    const { code, stdout, stderr } = await run(["serve", ...argv], environment, server);
    expect({ code, stdout, options: server.options }).toEqual({ code: 2, stdout: "", options: undefined });
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain("TIDINGS_JWT_SECRET" in environment ? environment.TIDINGS_JWT_SECRET : secret);
  });

  test("passes a key set, an issuer, an audience and their bounds to the server", async () => {
    const server = new FakeServer();
    const url = "https://id.example/jwks";
    const keySet = ["--jwt-jwks-url", url, "--jwt-jwks-refresh", "1m", "--jwt-jwks-max-stale", "2h"];
    const claims = ["--jwt-issuer", "me", "--jwt-audience", "you", "--jwt-leeway", "5s", "--jwt-max-days", "30"];
    const running = start(["serve", ...keySet, ...claims], {}, server);
    await vi.waitFor(() => expect(running.signal() && running.stdout()).toBeTruthy());
    await running.code;
    expect(server.options?.auth).toEqual({
      jwksUrl: url,
      issuer: "me",
      audience: "you",
      leewayMs: 5_000,
      maxTokenDays: 30,
      jwksRefreshMs: 60_000,
      jwksMaxStaleMs: 7_200_000,
    });
  });

  test("passes a new and an old secret from one file to the server", async () => {
    using folder = new Folder();
    const server = new FakeServer();
    const both = [secret, "the-n3w-s3cret-k3yF0rTe5ts-0nly-q8Zr"];
    const running = start(["serve", "--jwt-secret-file", folder.file("secrets", `${both.join("\n")}\n`)], {}, server);
    await vi.waitFor(() => expect(running.signal() && running.stdout()).toBeTruthy());
    await running.code;
    expect(server.options?.auth).toMatchObject({ secret: both });
  });

  test("passes the authorize webhook and the alert window to the server", async () => {
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

  test("turns metrics and traces on only when they are configured", async () => {
    const started = async (argv: string[], environment: Record<string, string> = {}) => {
      const server = new FakeServer();
      const running = start(["serve", ...argv], { ...env, ...environment }, server);
      await vi.waitFor(() => expect(running.signal() && running.stdout()).toBeTruthy());
      await running.code;
      const { metrics, tracing } = server.options ?? {};
      return { metrics, tracing, at: server.at?.metricsAddress, line: JSON.parse(running.stdout()).metrics };
    };
    expect(await started([])).toEqual({ metrics: false, tracing: undefined, at: undefined, line: undefined });
    const endpoint = "http://collector:4318";
    expect(await started(["--metrics-address", "[::1]:9464", "--otlp-endpoint", endpoint])).toEqual({
      metrics: true,
      tracing: { endpoint },
      at: { host: "::1", port: 9464 },
      line: "http://::1:9464/metrics",
    });
    const common = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint };
    expect((await started([], common)).tracing).toEqual({ endpoint });
    const both = { ...common, TIDINGS_OTLP_ENDPOINT: "http://mine:4318" };
    expect((await started([], both)).tracing).toEqual({ endpoint: "http://mine:4318" });
  });

  test.each([
    ["9464"],
    ["localhost"],
    ["localhost:"],
    ["localhost:65536"],
    ["::1:9464"],
    ["http://localhost:9464"],
    ["a b:1"],
  ])("refuses --metrics-address %s", async (address) => {
    const { code, stderr } = await run(["serve", "--metrics-address", address], env, new FakeServer());
    expect(code).toBe(2);
    expect(stderr).toMatch(/--metrics-address: must be an address and a port, such as 127\.0\.0\.1:9464/);
  });

  test.each([
    ["EADDRINUSE", "port 7300 on 127.0.0.1 is in use; choose another with --port, or 0 for any free port"],
    ["EACCES", "this user may not listen on port 7300 of 127.0.0.1; choose one above 1023 with --port"],
    ["ENOTFOUND", "127.0.0.1 is not an address of this machine; choose another with --host"],
    ["EWHATEVER", "it broke"],
  ])("reports %s in one line and closes the store", async (errno, sentence) => {
    const server = new FakeServer();
    server.listenError = Object.assign(new Error("it broke"), { code: errno });
    const { code, stdout, stderr } = await run(["serve"], env, server);
    expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: "", stderr: `error: ${sentence}\n` });
    expect(server.closed).toBe(1);
  });

  test("reports a store that cannot be opened in one line", async () => {
    const createTidings = () => Promise.reject(new Error("data folder x is in use by another process"));
    const { code, stderr } = await run(["serve"], env, { createTidings });
    expect({ code, stderr }).toEqual({ code: 1, stderr: "error: data folder x is in use by another process\n" });
  });

  test("reads the file of secrets again at SIGHUP, and keeps the old ones where it is wrong", async () => {
    using folder = new Folder();
    const file = folder.file("secrets", `${secret}\n`);
    const server = new FakeServer();
    const lines: { level: number; msg: string; err?: { message: string } }[] = [];
    const createLogger = async () => pino({ level: "info" }, { write: (line) => void lines.push(JSON.parse(line)) });
    const running = start(
      ["serve", "--jwt-secret-file", file],
      {},
      { createTidings: server.createTidings, createLogger },
    );
    await vi.waitFor(() => expect(running.stdout()).not.toBe(""));
    const fresh = secret.split("").reverse().join("");
    folder.file("secrets", `${fresh}\n${secret}\n`);
    expect(running.hangUp()).toBe(true);
    expect(server.reloads).toEqual([{ secret: [fresh, secret] }]);
    folder.file("secrets", "short\n");
    running.hangUp();
    expect(server.reloads).toHaveLength(1);
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
      [30, "secrets and certificates were read again"],
      [50, "secrets and certificates stay as they were: the files cannot be used"],
    ]);
    expect(lines[1]?.err?.message).toContain("too weak");
    running.signal();
    expect(await running.code).toBe(0);
    expect(running.hangUp(), "a listener is left").toBe(false);
  });

  test("refuses files that are not a key and its certificate before it starts", async () => {
    using folder = new Folder();
    const argv = ["serve", "--tls-key", folder.file("key", "no"), "--tls-cert", folder.file("cert", "no")];
    const { code, stderr } = await run(argv, env);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: --tls-key, --tls-cert: .* are not a PEM key and its certificate\n$/);
  });
});

describe("Nodes on a shared store", () => {
  const store = "mongodb://tidings:s3cret%2Fword@db1,db2/tidings?replicaSet=rs0";
  const bus = "rediss://:an0ther-word@cache:6380/1";

  test("get the URLs of the store and the bus, and no data folder", async () => {
    const server = new FakeServer();
    const running = start(["serve", "--data", "/x"], { ...env, TIDINGS_STORE: store, TIDINGS_BUS: bus }, server);
    await vi.waitFor(() => expect(running.stdout()).not.toBe(""));
    expect(server.options).toMatchObject({ store, bus });
    expect(server.options).not.toHaveProperty("data");
    running.signal();
    expect(await running.code).toBe(0);
  });

  test("need no bus when there is only one", async () => {
    const server = new FakeServer();
    const running = start(["serve", "--store", store], env, server);
    await vi.waitFor(() => expect(running.stdout()).not.toBe(""));
    expect(server.options).not.toHaveProperty("bus");
    running.signal();
    expect(await running.code).toBe(0);
  });

  test.each([
    [["--bus", bus], /--bus needs --store: .*remove --bus, or set --store mongodb:/],
    [["--workers", "4", "--store", store], /--workers 4 needs --bus: .*set --bus redis:/],
    [["--store", "postgres://u:s3cret@db/x"], /--store: must be a mongodb:/],
    [["--store", "mongodb://u:s3cret@db"], /--store: must be .*with the name of a database/],
    [["--store", store, "--bus", "http://u:s3cret@cache"], /--bus: must be a redis:/],
    [["--store", store, "--bus", "redis://u:s3cret@a,b"], /--bus: must be /],
    [["--store", store, "--bus", "redis+sentinel://:s3cret@a,b"], /--bus: must be /],
  ])("are refused with %j, by an error that says what to do and hides the password", async (argv, sentence) => {
    const { code, stderr } = await run(["serve", ...argv], env);
    expect(code).toBe(2);
    expect(stderr).toMatch(sentence);
    expect(stderr).not.toContain("s3cret");
    expect(stderr).not.toContain("an0ther");
  });

  test("hide the password when an error of the driver quotes the URL", async () => {
    const createTidings = () => Promise.reject(new Error(`cannot reach ${store} as tidings with s3cret/word`));
    const { code, stderr } = await run(["serve", "--store", store], env, { createTidings });
    expect(code).toBe(1);
    expect(stderr).toContain("cannot reach mongodb://tidings:***@db1,db2/tidings?replicaSet=rs0 as tidings with ***");
  });

  test("hide the password in lines of the log", async () => {
    let redact = (line: string) => line;
    const createLogger: Dependencies["createLogger"] = async (_, given) => {
      redact = given ?? redact;
      return pino({ level: "silent" });
    };
    const createTidings = () => Promise.reject(new Error("down"));
    await run(["serve", "--store", store, "--bus", bus], env, { createTidings, createLogger });
    const line = JSON.stringify({ err: { command: { name: "auth", args: ["an0ther-word"] } }, url: store });
    expect(redact(line)).toBe(
      '{"err":{"command":{"name":"auth","args":["***"]}},"url":"mongodb://tidings:***@db1,db2/tidings?replicaSet=rs0"}',
    );
  });
});
