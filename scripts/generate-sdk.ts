/**
 * Generates the code of the SDKs from the public contract in gen/proto, which `npm run generate` writes: one function for
 * each language. The code is committed, so that `go get` and `pip install` need no compiler of Protobuf.
 *
 *   node scripts/generate-sdk.ts [language…]
 */
import { execFileSync } from "node:child_process";
import { globSync, readFileSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { pythonEnvironment } from "./python-environment.ts";

const root = join(import.meta.dirname, "..");
const protos = join(root, "gen/proto");

const languages: Readonly<Record<string, () => void>> = { go: generateGo, python: generatePython };

/** Go: the plugins are packages of modules that sdk/go/go.mod pins. */
function generateGo() {
  const cwd = join(root, "sdk/go");
  const plugin = (name: string) => ({ local: ["go", "run", name], out: "gen", opt: "paths=source_relative" });
  const template = {
    version: "v2",
    clean: true,
    plugins: [
      plugin("google.golang.org/protobuf/cmd/protoc-gen-go"),
      plugin("connectrpc.com/connect/cmd/protoc-gen-connect-go"),
    ],
  };
  const buf = join(root, "node_modules/.bin/buf");
  execFileSync(buf, ["generate", protos, "--template", JSON.stringify(template)], { cwd, stdio: "inherit" });
}

/** Python: protoc of grpcio-tools, and stubs by mypy-protobuf, which carry the comments of the contract. */
function generatePython() {
  const sdk = join(root, "sdk/python");
  const requirements = join(sdk, "generate-requirements.txt");
  const args = ["-r", requirements];
  const bin = pythonEnvironment("tidings-sdk-python-generate", readFileSync(requirements, "utf8"), args);
  const out = join(sdk, "src");
  for (const old of globSync("tidings/v1/*_pb2.py*", { cwd: out })) rmSync(join(out, old));
  // The bridge's envelopes belong to WebSocket, which the SDK does not use.
  const files = globSync("**/*.proto", { cwd: protos, exclude: ["**/bridge.proto"] }).sort();
  const options = ["-I", protos, `--python_out=${out}`, `--mypy_out=quiet:${out}`];
  execFileSync(join(bin, "python"), ["-m", "grpc_tools.protoc", ...options, ...files], {
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
    stdio: "inherit",
  });
}

const chosen = process.argv.slice(2);
for (const language of chosen.length > 0 ? chosen : Object.keys(languages)) {
  const generate = languages[language];
  if (generate === undefined) throw new Error(`no SDK for ${language}; there are ${Object.keys(languages)}`);
  generate();
}
