/**
 * The examples in other languages, against a real server. Those in Python and Go install and compile: npm run
 * test:examples.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { programs } from "../../examples/shared/programs.ts";
import { testWith } from "../support/require.ts";
import { root } from "../support/run.ts";
import { newTenant, startServer, type TestServer } from "../support/server.ts";
import { findTool } from "../support/tools.ts";
import { commands, runExample } from "./process.ts";

const whole = process.env.TIDINGS_TEST_EXAMPLES === "whole";
if (!whole) console.log("skipped: examples in Python and Go, which install and compile (npm run test:examples)");

/** How to get what runs each of them. */
const tools = {
  python: ["python3", "apt-get install python3-venv"],
  go: ["go", "https://go.dev/doc/install"],
  php: ["php", "apt-get install php-cli"],
} satisfies Record<string, [name: string, hint: string]>;
const installMs = 300_000;

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

describe.each(Object.keys(tools) as (keyof typeof tools)[])("The example %s", (name) => {
  const testHere = whole || name === "php" ? testWith(findTool(...tools[name])) : test.skip;

  testHere(
    "publishes, retries, and prints the reason of a refusal",
    async () => {
      expect(commands.get(name)).toBe(`npm run example -- ${name}`);
      const lines = (await runExample(name)).trimEnd().split("\n").slice(-5);
      expect(lines).toEqual([
        expect.stringMatching(/^published [0-9a-f-]{36}$/),
        "  ada: stored, offline",
        "  bob: stored, offline",
        "retried: the same message, published once",
        expect.stringMatching(/^refused: invalid_argument FIELD_INVALID: message\.url: /),
      ]);
    },
    installMs,
  );

  testHere(
    "publishes a message that arrives once and unchanged",
    async () => {
      const tenant = newTenant();
      const [program, ...args] = programs[name];
      const env = {
        ...process.env,
        TIDINGS_URL: server.url,
        TIDINGS_TOKEN: await server.token({ tenant, role: "service" }),
      };
      await promisify(execFile)(program, args, { cwd: root, env, timeout: installMs });
      const { messages } = await server.client({ tenant, sub: "bob" }).listUnread({});
      expect(messages).toMatchObject([
        {
          title: "订单 T1001 等待处理",
          content: "Order T1001 waits for you.",
          url: "/orders/T1001",
          category: "operation",
          payload: { case: "json", value: { kind: { case: "structValue" } } },
        },
      ]);
    },
    installMs,
  );

  testHere(
    "exits with an error when there is no server",
    async () => {
      const [program, ...args] = programs[name];
      const env = { ...process.env, TIDINGS_URL: "http://127.0.0.1:1", TIDINGS_TOKEN: "none" };
      const error = (await promisify(execFile)(program, args, { cwd: root, env, timeout: installMs }).catch(
        (cause) => cause,
      )) as {
        code: number;
        stdout: string;
      };
      expect(error.code).toBeGreaterThan(0);
      expect(error.stdout).not.toMatch(/published|retried/);
    },
    installMs,
  );
});
