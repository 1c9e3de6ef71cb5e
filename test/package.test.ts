import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Consumer } from "./support/consumer.ts";

const root = join(import.meta.dirname, "..");
let consumer: Consumer;

beforeAll(() => {
  consumer = new Consumer();
}, 60_000);
afterAll(() => consumer.remove());

const everything = `
import { createTidings, directRoom, errorTable, escapeId, mintToken, reasonOf, type Tidings, type TidingsOptions } from "tidings";
import { connectTidings, directRoom as room, escapeId as id, type TidingsClient } from "tidings/client";
import { connectTidings as connectJson, directRoom as jsonRoom, escapeId as jsonId } from "tidings/client/json";
import { Kind, PushService, type Message } from "tidings/gen";

export const options: TidingsOptions = { data: ":memory:", auth: { secret: "a secret of at least thirty-two bytes" } };
export const start: () => Promise<Tidings> = () => createTidings(options);
export const client: TidingsClient = connectTidings({ url: "http://127.0.0.1:1", token: () => mintToken("s", { sub: "a", role: "user", tenant: "t", exp: 1 }, 0) });
export const titleOf = (message: Message): string => message.title;
export const names = [PushService.typeName, Kind.EVENT, errorTable.INTERNAL.retry, reasonOf, connectJson];
export const ids = [directRoom, room, jsonRoom, escapeId, id, jsonId];
client.close();
`;

describe("the package", () => {
  test.each(["nodenext", "bundler"])("its exports type-check under %s resolution, strictly", async (resolution) => {
    consumer.write("use.ts", everything);
    const module = resolution === "nodenext" ? "nodenext" : "esnext";
    const lib = ["--lib", "es2024,esnext.disposable,dom,dom.iterable,dom.asynciterable"];
    await consumer.run("tsc", [
      "--noEmit",
      "--strict",
      "--target",
      "es2024",
      "--types",
      "node",
      ...lib,
      "--module",
      module,
      "--moduleResolution",
      resolution,
      "use.ts",
    ]);
  });

  test("its server runs where it is installed, and its client reaches it", async () => {
    consumer.write(
      "run.ts",
      `import { createTidings, mintToken } from "tidings";
       import { connectTidings } from "tidings/client";
       const secret = "a secret of at least thirty-two bytes";
       const tidings = await createTidings({ data: ":memory:", auth: { secret } });
       const { url } = await tidings.listen({ port: 0 });
       const now = Math.floor(Date.now() / 1000);
       const client = connectTidings({ url, token: () => mintToken(secret, { sub: "ada", tenant: "acme", role: "user", exp: now + 60 }, now) });
       for await (const event of client.events()) if (event.type === "caughtUp") break;
       await tidings.close();
       console.log("done");`,
    );
    expect(await consumer.run("node", ["run.ts"])).toBe("done\n");
  });

  test("its command runs", async () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    expect(await consumer.run("node", ["node_modules/tidings/dist/src/cli/main.js", "--version"])).toContain(version);
  });

  test("it ships code, contract and demo, and no sources, tests or secrets", () => {
    expect(consumer.files).toEqual(
      expect.arrayContaining([
        "dist/src/index.js",
        "dist/gen/descriptor.binpb",
        "dist/demo/page.js",
        "proto/tidings/v1/push_service.proto",
        "LICENSE",
        "README.md",
      ]),
    );
    expect(
      consumer.files.filter((file) => /^(src|test|bench|gen)\/|(?<!\.d)\.ts$|\.env|secret\b.*\.(pem|key)$/.test(file)),
    ).toEqual([]);
  });

  test("nothing that it installs runs a script", () => {
    const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
      packages: Record<string, { dev?: boolean; hasInstallScript?: boolean }>;
    };
    const scripts = Object.entries(lock.packages).filter(
      ([name, { dev, hasInstallScript }]) => name !== "" && !dev && hasInstallScript,
    );
    expect(scripts).toEqual([]);
  });

  test("the client loads no database and no server", async () => {
    const loaded = await consumer.run("node", [
      "--input-type=module",
      "-e",
      `import "tidings/client"; console.log(process.moduleLoadList.filter((m) => /sqlite|http2|NativeModule ws/.test(m)).join())`,
    ]);
    expect(loaded.trim()).toBe("");
  });

  test("publint and are-the-types-wrong find nothing", () => {
    for (const [tool, args] of [
      ["publint", ["run", consumer.tarball, "--strict"]],
      ["attw", [consumer.tarball, "--profile", "esm-only"]],
    ] as const) {
      expect(() =>
        execFileSync(join(root, "node_modules/.bin", tool), args, { cwd: root, stdio: "pipe" }),
      ).not.toThrow();
    }
  }, 60_000);
});
