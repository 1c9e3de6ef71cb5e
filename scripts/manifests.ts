/**
 * The package.json of each package that is published, made from the workspace's own: that one has the version, and pins
 * the packages that both are tested with.
 */

/** A package.json, as far as it is read here. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional: boolean }>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

/** The names of the packages, which are those of their folders in dist/. */
export const packageNames = ["tidings-client", "tidings"] as const;

/** One of the packages. */
export type PackageName = (typeof packageNames)[number];

/** What both take over from the workspace. */
const shared = ["version", "license", "type", "engines", "repository", "bugs", "homepage", "sideEffects"] as const;

/** Packages that `tidings` needs only for some options or entries. */
const optional = [
  "mongodb",
  "ioredis",
  "prom-client",
  "@opentelemetry/api",
  "@opentelemetry/exporter-trace-otlp-http",
  "@opentelemetry/resources",
  "@opentelemetry/sdk-trace-base",
  "vitest",
  "fast-check",
];

/** The manifest of a package. */
export function manifestOf(name: PackageName, workspace: Manifest): Manifest {
  const common = Object.fromEntries(shared.map((key) => [key, workspace[key]]));
  const pinned = { ...workspace.devDependencies, ...workspace.dependencies };
  const ranges = (names: readonly string[], sign = "^") =>
    Object.fromEntries(
      names.map((dependency) => {
        const version = pinned[dependency];
        if (version === undefined) throw new Error(`package.json pins no version of ${dependency}`);
        return [dependency, sign + version];
      }),
    );

  if (name === "tidings-client") {
    return {
      name,
      version: workspace.version,
      description:
        "The client of Tidings, a typed push service: live events and a durable inbox, for pages and services",
      keywords: ["push", "notifications", "inbox", "realtime", "connect", "protobuf", "websocket"],
      ...common,
      exports: {
        ".": entry("src/client/index"),
        "./json": entry("src/client/json"),
        "./gen": entry("src/gen"),
        "./package.json": "./package.json",
      },
      files: ["lib", "CHANGELOG.md"],
      dependencies: ranges(["@bufbuild/protobuf", "@connectrpc/connect"]),
    };
  }
  return {
    name,
    version: workspace.version,
    description: "A typed push service: live events and a durable inbox over one Protobuf contract",
    keywords: ["push", "notifications", "inbox", "realtime", "connect", "grpc", "protobuf", "websocket"],
    ...common,
    bin: { tidings: "./lib/src/cli/main.js" },
    exports: {
      ".": entry("src/index"),
      "./memory": entry("src/adapters/memory/index"),
      "./mongodb": entry("src/adapters/mongodb/index"),
      "./redis": entry("src/adapters/redis/index"),
      "./sqlite": entry("src/adapters/sqlite/index"),
      "./testing": entry("src/testing/index"),
      "./package.json": "./package.json",
    },
    files: ["lib", "proto", "include", "CHANGELOG.md"],
    dependencies: {
      ...ranges(["@bufbuild/protobuf", "@bufbuild/protovalidate", "jose", "pino", "ws", "yaml"]),
      // Streams are written below Connect's handler (src/wire/), which a minor version may change: on 2.3.0, calls of grpcurl
      // hang and the conformance suite fails. npm installs this version beside a newer one that a project may have.
      ...ranges(["@connectrpc/connect", "@connectrpc/connect-node"], "~"),
    },
    peerDependencies: ranges(optional),
    peerDependenciesMeta: Object.fromEntries(optional.map((dependency) => [dependency, { optional: true }])),
  };
}

function entry(path: string): { types: string; default: string } {
  return { types: `./lib/${path}.d.ts`, default: `./lib/${path}.js` };
}
