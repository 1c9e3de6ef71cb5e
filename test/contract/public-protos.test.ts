import { globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { withoutRules, writePublicProtos } from "../../scripts/public-protos.ts";
import { testWith } from "../support/require.ts";
import { root, run } from "../support/run.ts";
import { findTool, pathOf } from "../support/tools.ts";

const buf = `${root}/node_modules/.bin/buf`;
const protoc = findTool("protoc", "apt-get install protobuf-compiler");
const go = findTool("protoc-gen-go", "go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12");

let folder: string;
let names: readonly string[];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tidings-protos-"));
  names = writePublicProtos(join(folder, "proto"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Our public files of what buf builds from a folder. */
async function build(input: string): Promise<FileDescriptorProto[]> {
  const image = join(folder, "image.binpb");
  await run(buf, "build", input, "-o", image);
  const { file } = fromBinary(FileDescriptorSetSchema, readFileSync(image));
  return file.filter(({ package: name }) => name === "tidings.v1").sort((a, b) => a.name.localeCompare(b.name));
}

/** The descriptor of a file without rules and comments, and the comments by the path of what they describe. */
function split({ sourceCodeInfo, ...file }: FileDescriptorProto) {
  const comments = sourceCodeInfo?.location
    .filter(({ leadingComments, trailingComments }) => leadingComments !== "" || trailingComments !== "")
    .map(({ path, leadingComments, trailingComments }) => `${path}: ${leadingComments}${trailingComments}`);
  const dependency = file.dependency.filter((name) => !name.includes("/validate/"));
  // JSON leaves out the rules, which are extensions; what is left of options that were rules only is empty.
  const json = toJson(FileDescriptorProtoSchema, { ...file, dependency });
  const isEmpty = (value: object) => Object.keys(value).length === 0;
  const text = JSON.stringify(json, (key, value) => (key === "options" && isEmpty(value) ? undefined : value));
  return { descriptor: JSON.parse(text), comments };
}

/** Compiles all files with protoc; their only import path is the folder itself. */
async function compile(...args: string[]): Promise<void> {
  await run(pathOf(protoc), "-I", join(folder, "proto"), ...args, ...names);
}

describe("The public contract", () => {
  test("is committed in gen/proto as it is generated", () => {
    expect(globSync("**/*.proto", { cwd: join(root, "gen/proto") }).sort()).toEqual(names);
    for (const name of names) {
      const [committed, generated] = [join(root, "gen/proto"), join(folder, "proto")].map((protos) =>
        readFileSync(join(protos, name), "utf8"),
      );
      expect.soft(committed, `gen/proto/${name} (npm run generate)`).toBe(generated);
    }
  });

  test("has the same messages and services as the contract, and the same comments", async () => {
    const whole = (await build(root)).map(split);
    const plain = (await build(join(folder, "proto"))).map(split);
    expect(plain.map(({ descriptor }) => descriptor)).toEqual(whole.map(({ descriptor }) => descriptor));
    for (const { comments } of whole) expect(comments?.length).toBeGreaterThan(3);
    expect(plain.map(({ comments }) => comments)).toEqual(whole.map(({ comments }) => comments));
  });

  test("has no validation rules, and imports only itself and google/protobuf", () => {
    expect(names).toContain("tidings/v1/push_service.proto");
    for (const name of names) {
      const source = readFileSync(join(folder, "proto", name), "utf8");
      expect.soft(source, name).not.toMatch(/validate/);
      for (const [, file] of source.matchAll(/^import "(.*)";/gm)) {
        expect.soft(file, name).toMatch(/^google\/protobuf\/|^tidings\/v1\//);
      }
    }
  });

  testWith(protoc)("compiles with protoc alone, for every language that it brings", async () => {
    const outputs = ["cpp", "csharp", "java", "objc", "php", "python", "ruby"].map((language) => {
      mkdirSync(join(folder, language));
      return `--${language}_out=${join(folder, language)}`;
    });
    await compile(...outputs);
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
    expect(files).toEqual(
      expect.arrayContaining([
        "cpp/tidings/v1/message.pb.cc",
        "csharp/PushService.cs",
        "java/com/tidings/v1/PublishRequest.java",
        "objc/tidings/v1/Message.pbobjc.m",
        "php/Tidings/V1/PublishRequest.php",
        "python/tidings/v1/push_service_pb2.py",
        "ruby/tidings/v1/push_service_pb.rb",
      ]),
    );
  });

  testWith(protoc, go)("compiles for Go, with its comments", async () => {
    await compile(`--plugin=${pathOf(go)}`, "--go_out", folder, "--go_opt=paths=source_relative");
    const code = readFileSync(join(folder, "tidings/v1/message.pb.go"), "utf8");
    expect(code).toContain("package tidingsv1");
    expect(code).toContain("// A message as its publisher writes it.");
  });
});

describe("Removing the validation rules", () => {
  test("keeps the other options of a field, and text that only looks like a rule", () => {
    const source = [
      'syntax = "proto3";',
      'import "buf/validate/validate.proto";',
      "// string a = 1 [(buf.other) = 1];",
      "message M {",
      "  option (buf.validate.message).cel = {",
      "    expression: \"this.a != ';'\"",
      "  };",
      "  uint64 a = 1 [jstype = JS_STRING, (buf.validate.field).uint64.lt = 9, deprecated = true];",
      "  string b = 2 [(buf.validate.field).string = {in: ['],', \"[\"]}];",
      "}",
    ];
    expect(withoutRules(source.join("\n")).split("\n")).toEqual([
      'syntax = "proto3";',
      "// string a = 1 [(buf.other) = 1];",
      "message M {",
      "  uint64 a = 1 [jstype = JS_STRING, deprecated = true];",
      "  string b = 2;",
      "}",
    ]);
  });

  test("throws rather than leave a rule behind", () => {
    expect(() => withoutRules("message M { option(buf.validate.message) = {}; }")).toThrow("a validation rule is left");
    expect(() => withoutRules("string a = 1 [deprecated = true")).toThrow("have no end");
  });
});
