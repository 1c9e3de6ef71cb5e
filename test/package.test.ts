/** The packages as their users have them: packed, installed into a project, checked, bundled and run. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type Manifest, manifestOf, type PackageName, packageNames } from "../scripts/manifests.ts";
import { Consumer, type Packed, pack, packagesWhole } from "./support/consumer.ts";
import { root } from "./support/run.ts";

const workspace = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
const testRunner = ["vitest", "fast-check"];
/** What a server needs for some of its options. */
const optionalDrivers = Object.keys(manifestOf("tidings", workspace).peerDependencies ?? {}).filter(
  (name) => !testRunner.includes(name),
);
const secret = "a secret of at least thirty-two bytes";
let packed: Readonly<Record<PackageName, Packed>>;
/** Has both packages, as npm installs them. */
let consumer: Consumer;
/** Has the client alone. */
let page: Consumer;
/** Has the drivers and the test runner, too. */
let whole: Consumer;

beforeAll(() => {
  if (!packagesWhole) return;
  packed = pack(inject("runFolder"));
  consumer = new Consumer().link("@types/node");
  page = new Consumer({ packages: ["tidings-client"] });
  whole = new Consumer().link(...optionalDrivers, ...testRunner, "@types/node");
}, 180_000);
afterAll(() => {
  for (const each of [consumer, page, whole]) each?.remove();
}, 180_000);

const client = `
import { connectTidings, directRoom, escapeId, Kind, type TidingsClient } from "tidings-client";
import { connectTidings as connectJson, directRoom as jsonRoom, escapeId as jsonId } from "tidings-client/json";
import { type Message, PushService } from "tidings-client/gen";

const tidings: TidingsClient = connectTidings({ url: "http://127.0.0.1:1", token: () => "" });
export const titleOf = (message: Message): string => message.title;
export const names = [PushService.typeName, Kind.EVENT, connectJson, directRoom, jsonRoom, escapeId, jsonId];
tidings.close();
`;

const server = `
import {
  type Bus, createTidings, type Defer, directRoom, errorTable, escapeId, fail, keyExpiry, mintToken, type Presence,
  reasonOf, type Store, type Tidings, type TidingsOptions,
} from "tidings";
import { memoryBus, memoryPresence } from "tidings/memory";
import { sqliteStore } from "tidings/sqlite";

const [bus, presence, store]: [Bus, Presence, Store] = [memoryBus(), memoryPresence(), sqliteStore({ folder: ":memory:" })];
const defer: Defer = (call) => setImmediate(call);
const options: TidingsOptions = { store, bus, presence, defer, auth: { secret: "${secret}" } };
export const start: () => Promise<Tidings> = () => createTidings(options);
export const token = () => mintToken("s", { sub: "a", role: "user", tenant: "t", exp: 1 }, 0);
export const rest = [directRoom, escapeId, errorTable.INTERNAL.retry, reasonOf, fail, keyExpiry];
`;

const adapters = `
import { createTidings } from "tidings";
import { mongoStore } from "tidings/mongodb";
import { redisBus, redisPresence } from "tidings/redis";
import { busContract, presenceContract, storeContract } from "tidings/testing";

export const start = (url: string) => createTidings({
  store: mongoStore({ url, keep: 100 }), bus: redisBus({ url }), presence: redisPresence({ url }), auth: { secret: "" },
});
export const suites = [busContract, presenceContract, storeContract];
`;

describe("The manifests of the packages", () => {
  test("export the entries that the examples and tsconfig.json map to sources", () => {
    const entries = packageNames.flatMap((name) =>
      Object.entries(manifestOf(name, workspace).exports ?? {}).flatMap(([path, entry]) => {
        const { default: file } = entry as { default?: string };
        return file === undefined ? [] : [[name + path.slice(1), file.replace("./lib/", "./").replace(/\.js$/, ".ts")]];
      }),
    );
    const { paths } = (JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8")) as { compilerOptions: Manifest })
      .compilerOptions as { paths?: Record<string, string[]> };
    expect(Object.fromEntries(entries)).toEqual(
      Object.fromEntries(Object.entries(paths ?? {}).map(([name, [file]]) => [name, file])),
    );
    const examples = readFileSync(join(root, "examples/shared/entries.ts"), "utf8");
    for (const [name, file = ""] of entries)
      expect(examples).toMatch(new RegExp(`^ {2}"?${name}"?: new URL\\("../../${file.slice(2)}"`, "m"));
  });

  test("have the version of the workspace, and the ranges of what they are tested with", () => {
    for (const name of packageNames) {
      const { version, dependencies, peerDependencies } = manifestOf(name, workspace);
      expect(version).toBe(workspace.version);
      const pinned = { ...workspace.dependencies, ...workspace.devDependencies };
      for (const [dependency, range] of Object.entries({ ...dependencies, ...peerDependencies }))
        expect(range, dependency).toMatch(new RegExp(`^[~^]${pinned[dependency]?.replaceAll(".", "\\.")}$`));
    }
  });

  test("install nothing that runs a script", () => {
    const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
      packages: Record<string, { dev?: boolean; hasInstallScript?: boolean }>;
    };
    const scripts = Object.entries(packages).filter(
      ([name, { dev, hasInstallScript }]) => name !== "" && !dev && hasInstallScript,
    );
    expect(scripts).toEqual([]);
  });
});

if (!packagesWhole) console.log("skipped: the packages, packed and installed (npm run test:package)");

describe.runIf(packagesWhole)("The packages", () => {
  test.each(["nodenext", "bundler"] as const)(
    "type-check strictly under %s resolution",
    async (resolution) => {
      page.write("client.ts", client);
      await page.check(resolution, ["client.ts"], "--types", "");
      consumer.write("client.ts", client);
      consumer.write("server.ts", server);
      await consumer.check(resolution, ["client.ts", "server.ts"], "--types", "node");
    },
    180_000,
  );

  test("type-check and load with drivers and test runner, where those are installed", async () => {
    whole.write("adapters.ts", adapters);
    await whole.check("nodenext", ["adapters.ts"], "--types", "node", "--skipLibCheck");
    whole.write(
      "load.ts",
      `import { createTidings } from "tidings";
       import { mongoStore } from "tidings/mongodb";
       import { redisBus, redisPresence } from "tidings/redis";
       const redis = { url: "redis://127.0.0.1:1" };
       for (const port of [mongoStore({ url: "mongodb://127.0.0.1:1/t" }), redisBus(redis), redisPresence(redis)]) await port.close();
       const watched = { metrics: true, tracing: { endpoint: "http://127.0.0.1:1" } };
       const tidings = await createTidings({ data: ":memory:", auth: { secret: "${secret}" }, ...watched });
       console.log((await tidings.metrics()).text.includes("tidings_streams"));
       await tidings.close();`,
    );
    expect(await whole.run("node", ["load.ts"])).toBe("true\n");
  }, 180_000);

  test("ship code, types, documents and the contract, and neither sources nor tests nor secrets", () => {
    const common = ["LICENSE", "README.md", "CHANGELOG.md", "package.json"];
    expect(packed["tidings-client"].files).toEqual(
      expect.arrayContaining([...common, "lib/src/client/index.js", "lib/src/client/json.d.ts", "lib/src/gen.js"]),
    );
    expect(packed.tidings.files).toEqual(
      expect.arrayContaining([
        ...common,
        "lib/src/index.js",
        "lib/gen/descriptor.binpb",
        "lib/gen/openapi.json",
        "lib/demo/page.js",
        "proto/tidings/v1/push_service.proto",
      ]),
    );
    const foreign = /(?<!\.d)\.ts$|\.test\.|\.env|secret\b.*\.(pem|key)$|^(?!lib\/|proto\/|include\/)\w+\//;
    for (const { files } of Object.values(packed)) expect(files.filter((file) => foreign.test(file))).toEqual([]);
    expect(
      packed["tidings-client"].files.filter((file) => /\/(cli|adapters|testing|demo)\/|server|binpb/.test(file)),
    ).toEqual([]);
  });

  test("pass publint and are-the-types-wrong without a remark", () => {
    for (const { tarball } of Object.values(packed)) {
      for (const [tool, args] of [
        ["publint", ["run", tarball, "--strict"]],
        ["attw", [tarball, "--profile", "esm-only"]],
      ] as const) {
        expect(() =>
          execFileSync(process.execPath, [join(root, "node_modules/.bin", tool), ...args], {
            cwd: root,
            stdio: "pipe",
          }),
        ).not.toThrow();
      }
    }
  }, 180_000);
});

describe.runIf(packagesWhole)("tidings-client", () => {
  test("brings Connect's and Protobuf's runtimes and nothing else, in under 6 MB", () => {
    const megabytes = page.size / 1e6;
    console.log(`tidings-client: ${page.installed.length} packages, ${megabytes.toFixed(1)} MB installed`);
    expect(page.installed).toEqual(["@bufbuild/protobuf", "@connectrpc/connect", "tidings-client"]);
    expect(megabytes).toBeLessThan(6);
  });

  test("bundles for a page, in under 10 kB without the Protobuf runtime", () => {
    const sizeOf = (entry: string) => {
      const file = page.write(
        "page.js",
        `import { connectTidings } from "${entry}"; globalThis.connect = connectTidings;`,
      );
      const { outputFiles } = buildSync({
        entryPoints: [file],
        bundle: true,
        format: "esm",
        target: "es2022",
        minify: true,
        write: false,
        logLevel: "silent",
      });
      return gzipSync(outputFiles[0]?.contents ?? "").length;
    };
    const [typed, json] = [sizeOf("tidings-client"), sizeOf("tidings-client/json")];
    console.log(`in a page, minified and compressed: tidings-client ${typed} bytes, tidings-client/json ${json} bytes`);
    expect(json).toBeLessThan(10_000);
    expect(typed).toBeLessThan(40_000);
  });

  test("loads no database and no server", async () => {
    const loaded = await page.run("node", [
      "--input-type=module",
      "-e",
      `import "tidings-client"; console.log(process.moduleLoadList.filter((m) => /sqlite|http2|worker_threads/.test(m)).join())`,
    ]);
    expect(loaded.trim()).toBe("");
  });
});

describe.runIf(packagesWhole)("tidings", () => {
  test("serves where it is installed, and the client reaches it", async () => {
    consumer.write(
      "run.ts",
      `import { createTidings, mintToken } from "tidings";
       import { memoryBus, memoryPresence } from "tidings/memory";
       import { sqliteStore } from "tidings/sqlite";
       import { connectTidings } from "tidings-client";
       const secret = "${secret}";
       const now = Math.floor(Date.now() / 1000);
       const token = () => mintToken(secret, { sub: "ada", tenant: "acme", role: "user", exp: now + 60 }, now);
       const ports = { store: sqliteStore({ folder: ":memory:" }), bus: memoryBus(), presence: memoryPresence() };
       for (const options of [{ data: ":memory:" }, ports]) {
         const tidings = await createTidings({ ...options, auth: { secret } });
         const { url } = await tidings.listen({ port: 0 });
         const client = connectTidings({ url, token });
         for await (const event of client.events()) if (event.type === "caughtUp") break;
         await tidings.close();
       }
       console.log("done");`,
    );
    expect(await consumer.run("node", ["run.ts"])).toBe("done\n");
  });

  test("has a command of its version", async () => {
    expect(await consumer.run("tidings", ["--version"])).toBe(`${workspace.version}\n`);
  });

  test("installs no driver by itself", () => {
    console.log(
      `tidings and tidings-client: ${consumer.installed.length} packages, ${(consumer.size / 1e6).toFixed(1)} MB`,
    );
    expect(consumer.installed.filter((name) => [...optionalDrivers, ...testRunner].includes(name))).toEqual([]);
  });

  test("has a createTidings that names the packages which its options need", async () => {
    const tracing = ["api", "exporter-trace-otlp-http", "resources", "sdk-trace-base"];
    const cases = [
      [{ store: "mongodb://127.0.0.1:1/t" }, "store: needs a package that is", "mongodb"],
      [{ store: "mongodb://127.0.0.1:1/t", bus: "redis://127.0.0.1:1" }, "store: needs a package that is", "mongodb"],
      [{ data: ":memory:", metrics: true }, "metrics: needs a package that is", "prom-client"],
      [
        { data: ":memory:", tracing: { endpoint: "http://127.0.0.1:1" } },
        "tracing: needs packages that are",
        tracing.map((name) => `@opentelemetry/${name}`).join(" "),
      ],
    ] as const;
    consumer.write(
      "missing.ts",
      `import { createTidings } from "tidings";
       for (const options of ${JSON.stringify(cases.map(([options]) => options))}) {
         const error = await createTidings({ ...options, auth: { secret: "${secret}" } }).catch((error) => error);
         console.log(error instanceof Error, error.message);
       }`,
    );
    const lines = cases.map(([, needs, packages]) => `true ${needs} not installed; run npm install ${packages}\n`);
    expect(await consumer.run("node", ["missing.ts"])).toBe(lines.join(""));
  });

  test("names the package that a bus on Redis needs", async () => {
    consumer.link("mongodb");
    try {
      await expect(
        consumer.run(
          "tidings",
          ["serve", "--port=0", "--store", "mongodb://127.0.0.1:1/t", "--bus", "redis://127.0.0.1:1"],
          {
            TIDINGS_JWT_SECRET: secret,
          },
        ),
      ).rejects.toThrow(/\nerror: bus: needs a package that is not installed; run npm install ioredis\n$/);
    } finally {
      consumer.unlink("mongodb");
    }
  });

  test.each([
    [["--store", "mongodb://127.0.0.1:1/t"], "store", "mongodb"],
    [["--store", "mongodb://127.0.0.1:1/t", "--bus", "redis://127.0.0.1:1", "--workers", "2"], "store", "mongodb"],
    [["--data", ":memory:", "--metrics-address", "127.0.0.1:0"], "metrics", "prom-client"],
    [["--data", ":memory:", "--otlp-endpoint", "http://127.0.0.1:1"], "tracing", "@opentelemetry/api"],
  ])("serve %j exits with one line that names the package", async (flags, name, packageName) => {
    const line = new RegExp(`\\nerror: ${name}: needs .+; run npm install ${packageName}\\b.*\\n$`);
    const failed = consumer.run("tidings", ["serve", "--port", "0", ...flags], { TIDINGS_JWT_SECRET: secret });
    await expect(failed).rejects.toThrow(line);
    await expect(failed).rejects.toMatchObject({ cause: { code: 1, stdout: "" } });
  });

  test("says what to install where the suites of the ports find no test runner", async () => {
    consumer.write("suites.ts", `await import("tidings/testing");`);
    await expect(consumer.run("node", ["suites.ts"])).rejects.toThrow(
      "tidings/testing: needs packages that are not installed; run npm install vitest fast-check",
    );
  });

  test("runs the suites of the ports for the adapters of others, and tells which law an adapter breaks", async () => {
    whole.write(
      "wrapped.test.js",
      `import { memoryBus, memoryPresence } from "tidings/memory";
       import { sqliteStore } from "tidings/sqlite";
       import { busContract, presenceContract, storeContract } from "tidings/testing";

       /** Passes every call on, as a port of somebody who counts or logs would. */
       const wrap = (port) => new Proxy(port, { get: (target, name) => typeof target[name] === "function" ? (...args) => target[name](...args) : target[name] });

       busContract("A wrapped bus", async () => {
         const bus = wrap(memoryBus());
         return { buses: [bus], close: () => bus.close() };
       });
       presenceContract("A wrapped presence", async () => {
         const presence = wrap(memoryPresence());
         return { nodes: [presence], close: () => presence.close() };
       }, { scripts: 20 });
       storeContract("A wrapped store", async (keep) => {
         const store = wrap(sqliteStore({ folder: ":memory:", keep }));
         return { store, info: await store.open(), close: () => store.close() };
       }, { scripts: 1 });`,
    );
    whole.write(
      "broken.test.js",
      `import { memoryBus } from "tidings/memory";
       import { busContract } from "tidings/testing";
       busContract("A bus that reorders", async () => {
         const bus = memoryBus();
         const reorders = { ...bus, publish: (notices) => bus.publish(notices.toReversed()), subscribe: (listener) => bus.subscribe(listener), close: () => bus.close() };
         return { buses: [reorders], close: () => bus.close() };
       });`,
    );
    const report = whole.write("report.json", "");
    const reporters = ["--reporter=default", "--reporter=json", "--outputFile", report];
    const run = whole.run("vitest", ["run", ...reporters]);
    await expect(run).rejects.toThrow(/FAIL.*A bus that reorders/);
    const { testResults } = JSON.parse(readFileSync(report, "utf8")) as {
      testResults: { name: string; status: string; assertionResults: { status: string }[] }[];
    };
    const results = new Map(testResults.map((result) => [basename(result.name), result]));
    expect([...results.keys()].sort()).toEqual(["broken.test.js", "wrapped.test.js"]);
    const { status, assertionResults = [] } = results.get("wrapped.test.js") ?? {};
    expect(status).toBe("passed");
    expect(assertionResults.filter((result) => result.status === "passed").length).toBeGreaterThan(150);
  }, 180_000);
});
