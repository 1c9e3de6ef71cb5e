import { statSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { jwtVerify } from "jose";
import { describe, expect, test, vi } from "vitest";
import type { Dependencies } from "../../../src/cli/command.ts";
import { FakeServer } from "../fake-server.ts";
import { Folder, run, start } from "../harness.ts";

/** Runs `tidings dev` until it is ready, then ends it. */
async function dev(argv: readonly string[], deps: Partial<Dependencies> & { server: FakeServer }) {
  const running = start(["dev", "--port", "0", ...argv], {}, { ...deps.server, ...deps });
  await vi.waitFor(() => expect(running.stdout()).not.toBe(""));
  running.signal();
  expect(await running.code).toBe(0);
  return running.stdout();
}

function secretOf(server: FakeServer): string {
  return String(server.options?.auth.secret);
}

describe("tidings dev", () => {
  test("prints the addresses, tokens, and calls to paste that use the tokens", async () => {
    using folder = new Folder();
    const server = new FakeServer();
    const lines = await dev(["--data", folder.path], { server });
    expect(lines).toContain("http://127.0.0.1:4321/\n");
    const tokens = [...lines.matchAll(/^export (\w+)=(\S+)$/gm)].map(([, name = "", token = ""]) => ({ name, token }));
    expect(tokens.map(({ name }) => name)).toEqual(["BACKEND", "ADA", "BOB"]);
    const key = new TextEncoder().encode(secretOf(server));
    const currentDate = new Date("2026-11-04T09:59:00Z");
    for (const { name, token } of tokens) {
      const { payload } = await jwtVerify(token, key, { currentDate });
      const role = name === "BACKEND" ? "service" : "user";
      expect(payload).toMatchObject({ sub: name.toLowerCase(), tenant: "acme", role });
    }
    expect(lines).toMatch(/^curl .*\$BACKEND.*http:\/\/127\.0\.0\.1:4321\/tidings\.v1\.PushService\/Publish$/m);
    expect(lines).toMatch(/^grpcurl -plaintext .* 127\.0\.0\.1:4321 tidings\.v1\.PushService\/Publish$/m);
    expect(lines).toMatch(/^npx @bufbuild\/buf curl --http2-prior-knowledge --protocol grpc .*Publish$/m);
    expect(lines).toMatch(/^curl .*\$ADA.*ListUnread$/m);
    expect(lines).toMatch(/^curl .*OnlineCount$/m);
    for (const [, body = ""] of lines.matchAll(/-d '([^']*)'/g)) expect(() => JSON.parse(body)).not.toThrow();
  });

  test("prints an address that can be called when it listens on 0.0.0.0", async () => {
    using folder = new Folder();
    const lines = await dev(["--data", folder.path, "--host", "0.0.0.0"], { server: new FakeServer() });
    expect(lines).not.toContain("0.0.0.0");
  });

  test("prints one document with the tokens under --json", async () => {
    using folder = new Folder();
    const printed = JSON.parse(await dev(["--data", folder.path, "--json"], { server: new FakeServer() }));
    expect(printed).toMatchObject({ address: "http://127.0.0.1:4321", port: 4321, pid: process.pid });
    expect(Object.keys(printed.tokens)).toEqual(["backend", "ada", "bob"]);
  });

  test("keeps one secret per folder, in a file that only the owner can read", async () => {
    using folder = new Folder();
    using other = new Folder();
    const [first, second, third] = [new FakeServer(), new FakeServer(), new FakeServer()];
    await dev(["--data", folder.path], { server: first });
    await dev(["--data", folder.path], { server: second });
    await dev(["--data", other.path], { server: third });
    expect(secretOf(first)).toMatch(/^[\w-]{43}$/);
    expect(secretOf(second)).toBe(secretOf(first));
    expect(secretOf(third)).not.toBe(secretOf(first));
    expect(statSync(join(folder.path, "dev-secret")).mode & 0o777).toBe(0o600);
  });

  test("refuses a secret file that is empty", async () => {
    using folder = new Folder();
    folder.file("dev-secret", "\n");
    const { code, stderr } = await run(["dev", "--data", folder.path]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/dev-secret holds a weak secret; remove the file/);
  });

  test("allows the origins of localhost, but not every origin", async () => {
    using folder = new Folder();
    const server = new FakeServer();
    await dev(["--data", folder.path], { server });
    expect(server.options?.allowedOrigins).toContain("http://localhost:5173");
    expect(server.options?.allowedOrigins).not.toContain("*");
  });

  test("serves the demo page, and 404 for any other path", async () => {
    using folder = new Folder();
    const server = new FakeServer();
    const asked: (string | undefined)[] = [];
    const demoPage: Dependencies["demoPage"] = async (secret) => (request) => {
      asked.push(request.url);
      expect(secret).toBe(secretOf(server));
      return request.url === "/";
    };
    await dev(["--data", folder.path], { server, demoPage });
    const statuses: number[] = [];
    const response = {
      writeHead(status: number) {
        statuses.push(status);
        return response;
      },
      end: () => response,
    };
    for (const url of ["/", "/nothing"]) {
      server.at?.fallback?.({ url } as IncomingMessage, response as unknown as ServerResponse);
    }
    expect(asked).toEqual(["/", "/nothing"]);
    expect(statuses).toEqual([404]);
  });

  test("reports a port in use in one line", async () => {
    using folder = new Folder();
    const server = new FakeServer();
    server.listenError = Object.assign(new Error("listen EADDRINUSE"), { code: "EADDRINUSE" });
    const { code, stderr } = await run(["dev", "--data", folder.path], {}, server);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: port 7300 on 127\.0\.0\.1 is in use; .*\n$/);
  });
});
