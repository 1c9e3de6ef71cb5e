import { describe, expect, test } from "vitest";
import { readArguments } from "../../../src/cli/config/arguments.ts";
import { configure } from "../../../src/cli/config/configuration.ts";
import { serverOptions } from "../../../src/cli/config/server-options.ts";
import {
  commandNames,
  environmentName,
  settingNames,
  settingOf,
  type Values,
} from "../../../src/cli/config/settings.ts";
import { limitNames } from "../../../src/limit-options.ts";
import { resolveOptions } from "../../../src/options.ts";
import { Folder, secret } from "../harness.ts";

function values(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Values {
  const given = readArguments(argv);
  if (given.command === undefined) throw new Error("name a command");
  return configure(given.command, given, env);
}

describe("A setting", () => {
  test("is read from the flag, else the environment, else the file, else its default", () => {
    using folder = new Folder();
    const config = folder.file("tidings.yaml", "port: 1\nhost: file.example\nretentionDays: 30\n");
    const env = { TIDINGS_PORT: "2", TIDINGS_HOST: "env.example", TIDINGS_CONFIG: config };
    expect(values(["serve", "--port", "3"], env)).toMatchObject({
      port: 3,
      host: "env.example",
      retentionDays: 30,
      retentionCount: 10_000,
    });
  });

  // A context has to exist: see contexts.test.ts.
  test.each(settingNames.filter((name) => !settingOf(name).flagOnly && name !== "context"))(
    "such as %s has a flag, a variable and a key",
    (name) => {
      using folder = new Folder();
      const [command] = settingOf(name).for;
      const sample = samples[name] ?? "text";
      const flag = `--${environmentName(name).slice("TIDINGS_".length).toLowerCase().replaceAll("_", "-")}`;
      const byFlag = values([command as string, `${flag}=${sample}`])[name];
      const config = folder.file("tidings.json", JSON.stringify({ [name]: sample }));
      expect(byFlag).toBeDefined();
      expect(byFlag).not.toEqual(values([command as string])[name]);
      expect(values([command as string], { [environmentName(name)]: sample })[name]).toEqual(byFlag);
      expect(values([command as string, "--config", config])[name]).toEqual(byFlag);
    },
  );

  test("of the file keeps its YAML type", () => {
    using folder = new Folder();
    const content = "port: 0\nreflection: false\nallowedOrigins: [https://a.example, https://b.example]\ndrain: 2s\n";
    expect(values(["serve", "--config", folder.file("a.yaml", content)])).toMatchObject({
      port: 0,
      reflection: false,
      allowedOrigins: ["https://a.example", "https://b.example"],
      drain: 2_000,
    });
  });

  test("with ids of rooms takes repeated flags, and keeps commas in ids", () => {
    expect(values(["tail", "--room", "a,b", "--room=dm/1/2"]).room).toEqual(["a,b", "dm/1/2"]);
  });

  test("with a list takes commas and repeated flags", () => {
    const argv = ["publish", "--to-users", "ada, bob", "--to-users=eve"];
    expect(values(argv).toUsers).toEqual(["ada", "bob", "eve"]);
  });

  test("with a switch takes --name, --name=false and --no-name, and the last one wins", () => {
    expect(values(["serve", "--no-reflection"]).reflection).toBe(false);
    expect(values(["serve", "--reflection=false"]).reflection).toBe(false);
    expect(values(["serve", "--no-reflection", "--reflection"]).reflection).toBe(true);
  });

  test("of the file is ignored by commands that do not have it", () => {
    using folder = new Folder();
    const config = folder.file("a.yaml", `jwtSecret: ${secret}\nurl: https://push.example\n`);
    expect(values(["serve", "--config", config]).jwtSecret).toEqual([secret]);
    expect(values(["online", "--config", config]).url).toBe("https://push.example");
  });

  test("with secrets takes one on each line, or a list in the file, and keeps their commas and blanks", () => {
    using folder = new Folder();
    const both = ["one, with a comma and blanks", "two"];
    const env = { TIDINGS_JWT_SECRET: `${both.join("\r\n")}\n` };
    expect(values(["serve"], env).jwtSecret).toEqual(both);
    expect(values(["serve", "--jwt-secret", both.join("\n")]).jwtSecret).toEqual(both);
    const config = folder.file("a.yaml", `jwtSecret: ${JSON.stringify(both)}\n`);
    expect(values(["serve", "--config", config]).jwtSecret).toEqual(both);
    expect(() => values(["serve"], { TIDINGS_JWT_SECRET: "\n" })).toThrow("TIDINGS_JWT_SECRET: must be text");
  });

  test("is not set by an empty variable or an empty file", () => {
    using folder = new Folder();
    expect(values(["serve", "--config", folder.file("a.yaml", "")], { TIDINGS_PORT: "" }).port).toBe(7300);
  });

  test("of the server has the same default as in createTidings", () => {
    const { logger: _, ...options } = serverOptions(values(["serve"]), { secret }, undefined as never);
    const { data = "", auth } = options;
    expect(resolveOptions(options)).toEqual(resolveOptions({ data, auth }));
  });

  test.each(commandNames)("of %s has a default that its type accepts", (command) => {
    expect(() => values([command])).not.toThrow();
  });
});

describe("The configuration refuses", () => {
  test.each([
    [["serve", "--prot", "1"], /unknown option --prot; did you mean --port\?/],
    [["serve", "--retention-dyas=3"], /did you mean --retention-days\?/],
    [["serve", "--no-port"], /unknown option --no-port/],
    [["serve", "-p", "1"], /unknown option -p/],
    [["serve", "--zzzzzzzzzzz"], /unknown option --zzzzzzzzzzz$/],
    [["publish", "--port", "1"], /--port is not an option of publish but of serve, dev/],
    [["sevre"], /unknown command sevre; did you mean serve\?/],
    [["serve", "now"], /unexpected argument now/],
  ])("the command line %j", (argv, message) => {
    expect(() => values(argv)).toThrow(message);
  });

  test("an unknown environment variable, with a suggestion", () => {
    expect(() => values(["serve"], { TIDINGS_JWT_SECERT: "x" })).toThrow(
      "unknown environment variable TIDINGS_JWT_SECERT; did you mean TIDINGS_JWT_SECRET?",
    );
  });

  test("an environment variable for a setting that only a flag can set", () => {
    expect(() => values(["publish"], { TIDINGS_TITLE: "x" })).toThrow("unknown environment variable TIDINGS_TITLE");
  });

  test("an unknown key in the file, with a suggestion", () => {
    using folder = new Folder();
    const config = folder.file("a.json", '{"jwt-secret": "x"}');
    expect(() => values(["serve", "--config", config])).toThrow(
      /unknown key jwt-secret in .*a\.json; did you mean jwtSecret\?/,
    );
  });

  test("none of the variables that Kubernetes sets next to a service named tidings", () => {
    const env = {
      TIDINGS_SERVICE_HOST: "10.0.0.7",
      TIDINGS_SERVICE_PORT: "7300",
      TIDINGS_SERVICE_PORT_HTTP: "7300",
      TIDINGS_PORT: "tcp://10.0.0.7:7300",
      TIDINGS_PORT_7300_TCP: "tcp://10.0.0.7:7300",
      TIDINGS_PORT_7300_TCP_ADDR: "10.0.0.7",
    };
    expect(values(["serve"], env).port).toBe(7300);
  });
});

describe("The error of a bad value names the option and what it accepts", () => {
  test.each([
    [["serve", "--port", "65536"], "--port: must be a whole number from 0 to 65535"],
    [["serve", "--port", "1e3"], "--port: must be a whole number"],
    [["serve", "--port="], "--port: must be a whole number"],
    [["serve", "--port"], "--port needs a value"],
    [["publish", "--title", "--json"], "--title needs a value; write --title=--json if it starts with a dash"],
    [["serve", "--heartbeat", "25"], "--heartbeat: must be a number with a unit (ms, s, m, h, d), from 10ms to 1d"],
    [["serve", "--heartbeat", "2d"], "--heartbeat: must be"],
    [["serve", "--log-level", "loud"], "--log-level: must be one of silent, fatal, error"],
    [["serve", "--reflection=maybe"], "--reflection: must be true or false"],
    [["serve", "--no-reflection=true"], "--no-reflection takes no value"],
    [["serve", "--allowed-origins", "https://a.example/"], "--allowed-origins: must be a list, each an origin such as"],
    [["serve", "--retention-days", "0"], "--retention-days: must be a whole number from 1"],
    [["tail", "--url", "ftp://x"], "--url: must be an http or https URL"],
    [["tail", "--url", "https://ada:pw@x"], "--url: must be an http or https URL without user"],
    [["publish", "--json-payload", "{"], "--json-payload: must be valid JSON"],
    [["publish", "--to-users", "ada,,bob"], "--to-users: must be a list, each text"],
  ])("for the command line %j", (argv, message) => {
    expect(() => values(argv)).toThrow(message);
  });

  test("for an environment variable, without quoting a value that may be secret", () => {
    expect(() => values(["tail"], { TIDINGS_TOKEN: "a b" })).toThrow(/^TIDINGS_TOKEN: must be a JWT without blanks$/);
  });

  test("for a key of the file", () => {
    using folder = new Folder();
    const config = folder.file("a.yaml", "jwtSecret: 12345678901234567890123456789012\n");
    expect(() => values(["serve", "--config", config])).toThrow(/^jwtSecret in .*a\.yaml: must be text \(quote it/);
  });

  test.each([
    ["a: [", /not valid JSON or YAML at line 1/],
    ["- port\n", /must be a mapping of names to values/],
    ["port: 1\nport: 2\n", /not valid JSON or YAML at line 2/],
  ])("for a file with the content %j", (content, message) => {
    using folder = new Folder();
    expect(() => values(["serve", "--config", folder.file("a.yaml", content)])).toThrow(message);
  });

  test("for a file that cannot be read", () => {
    expect(() => values(["serve", "--config", "/nowhere/a.yaml"])).toThrow(
      "--config: cannot read /nowhere/a.yaml: no such file",
    );
  });
});

test.each([
  ["500ms", 500],
  ["25s", 25_000],
  ["1.5h", 5_400_000],
  ["15m", 900_000],
  ["1d", 86_400_000],
])("The duration %s is %i ms", (text, milliseconds) => {
  expect(values(["serve", "--heartbeat", text]).heartbeat).toBe(milliseconds);
});

/** For each setting with a type stricter than text, a valid value other than the default. */
const samples: Readonly<Record<string, string>> = {
  semiSpace: "8",
  port: "8080",
  jwtJwksUrl: "https://id.example/jwks",
  jwtJwksRefresh: "3s",
  jwtJwksMaxStale: "3s",
  jwtLeeway: "3s",
  jwtMaxDays: "3",
  jwtCookie: "__Host-session",
  address: "unix:/run/tidings.sock",
  socketMode: "600",
  pathPrefix: "/push",
  allowedOrigins: "https://a.example,*",
  trustedProxies: "10.0.0.0/8,::1,unix:",
  retentionDays: "3",
  retentionCount: "3",
  maxMessageBytes: "3",
  maxBatchEntries: "3",
  ringBytes: "3",
  heartbeat: "3s",
  drain: "3s",
  drainDelay: "3s",
  store: "mongodb://db1,db2/tidings?replicaSet=rs0",
  bus: "redis://cache:6379",
  workers: "3",
  newStreamsPerSecond: "3",
  newStreamsBurst: "3",
  newStreamsPerTenant: "3",
  publicStreams: "3",
  inFlightConnectionBytes: "70000",
  inFlightUserBytes: "70000",
  inFlightNodeBytes: "70000",
  rapidResets: "3",
  ...Object.fromEntries(limitNames.map((name) => [name, "3:30"])),
  storedBytesPerTenant: "3",
  feedsPerTenant: "3",
  headersTimeout: "3s",
  requestTimeout: "3s",
  idleTimeout: "3s",
  stallTimeout: "3s",
  newcomerDays: "3",
  maxStreamsPerUser: "3",
  authorizeUrl: "https://app.example/may?v=1",
  directRooms: "grant",
  authorizeTimeout: "3s",
  authorizeCache: "3s",
  alertWindow: "3s",
  ignoreUnknownFields: "true",
  reflection: "false",
  durableStreams: "false",
  openapi: "false",
  metricsAddress: "127.0.0.1:9464",
  otlpEndpoint: "http://127.0.0.1:4318",
  logLevel: "debug",
  url: "https://push.example",
};
