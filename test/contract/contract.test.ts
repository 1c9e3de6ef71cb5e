import { readFileSync } from "node:fs";
import { type DescField, type DescMessage, getOption, hasOption, ScalarType } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { type FieldRules, field as fieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { describe, expect, test } from "vitest";
import { loadDescriptors } from "../../src/contract/descriptors.ts";
import { methodNames, typeNames } from "../support/contract-names.ts";
import { root, run } from "../support/run.ts";

const types = [...loadDescriptors()].filter(({ file }) => file.proto.package === "tidings.v1");
const short = (name: string): string => name.replace(/^(tidings\.v1|google\.protobuf)\./, "");

function typeOf({ fieldKind, scalar, message, enum: enumeration }: DescField): string {
  const name =
    scalar === undefined ? short(message?.typeName ?? enumeration?.typeName ?? "") : ScalarType[scalar].toLowerCase();
  if (fieldKind === "map") return `map<string,${name}>`;
  return fieldKind === "list" ? `${name}[]` : name;
}

describe("The contract keeps the names that clients rely on", () => {
  test.each(Object.entries(typeNames))("in %s", (name, members) => {
    const type = types.find(({ typeName }) => short(typeName) === name);
    const values = type?.kind === "enum" ? type.values.map((value) => `${value.name}=${value.number}`) : [];
    const fields =
      type?.kind === "message" ? type.fields.map((field) => `${field.name}=${field.number}:${typeOf(field)}`) : [];
    expect(type, "the type itself").toBeDefined();
    expect([...values, ...fields]).toEqual(expect.arrayContaining(members.split(/\s+/).filter(Boolean)));
  });

  test("of methods", () => {
    const methods = types.flatMap((type) => (type.kind === "service" ? type.methods : []));
    const lines = methods.map(({ parent, name, input, output, methodKind, idempotency }) => {
      const signature = `${short(parent.typeName)}.${name}: ${short(input.typeName)} → ${short(output.typeName)}`;
      return `${signature}, ${methodKind}, ${Idempotency[idempotency]}`;
    });
    expect(lines).toEqual(expect.arrayContaining([...methodNames]));
  });
});

/** All fields of all requests, and of the messages in them. */
function requestFields(): DescField[] {
  const seen = new Set<DescMessage>();
  const walk = (message: DescMessage): void => {
    if (seen.has(message) || !types.includes(message)) return;
    seen.add(message);
    for (const { message: inner } of message.fields) if (inner) walk(inner);
  };
  for (const type of types) if (type.kind === "message" && /Request$|^BridgeFrame$/.test(type.name)) walk(type);
  return [...seen].flatMap(({ fields }) => fields);
}

const nameOf = ({ parent, name }: DescField): string => `${parent.name}.${name}`;

/** The server's maxMessageBytes bounds these fields together, which a rule of one field cannot express. */
const boundedElsewhere = ["Draft.content", "Draft.binary"];

/** Whether the length of a field, and of its items, has a limit. */
function isBounded(field: DescField, rules: FieldRules | undefined): boolean {
  const kind = rules?.type;
  if (field.fieldKind === "list") {
    if (kind?.case !== "repeated" || kind.value.maxItems === 0n) return false;
    return field.listKind !== "scalar" || isBoundedScalar(field.scalar, kind.value.items);
  }
  return field.fieldKind !== "scalar" || isBoundedScalar(field.scalar, rules);
}

function isBoundedScalar(scalar: ScalarType, rules: FieldRules | undefined): boolean {
  if (scalar !== ScalarType.STRING && scalar !== ScalarType.BYTES) return true;
  const kind = rules?.type;
  return (kind?.case === "string" || kind?.case === "bytes") && kind.value.maxLen > 0n;
}

describe("The rules of the contract", () => {
  const ruled = requestFields().map((field) => ({
    field,
    rules: hasOption(field, fieldRules) ? getOption(field, fieldRules) : undefined,
  }));

  test("limit every string, bytes and repeated field of a request", () => {
    expect(ruled.length).toBeGreaterThan(60);
    const unbounded = ruled.filter(({ field, rules }) => !isBounded(field, rules)).map(({ field }) => nameOf(field));
    expect(unbounded).toEqual(boundedElsewhere);
  });

  test("have patterns only as predefined rules, which have a sentence", () => {
    const own = ruled.filter(({ rules }) => {
      const kind = rules?.type.case === "repeated" ? rules.type.value.items?.type : rules?.type;
      return kind?.case === "string" && kind.value.pattern !== "";
    });
    expect(own.map(({ field }) => nameOf(field))).toEqual([]);
  });
});

describe("Code that is generated from the contract", () => {
  const files = [...loadDescriptors().files].filter(({ proto }) => proto.package.startsWith("tidings."));
  const capitals = (name: string) => name.replace(/(?:^|[._])([a-z])/g, (_, letter: string) => letter.toUpperCase());

  test.each(files.map((file) => [`${file.name}.proto`, file] as const))(
    "has a package of its own in each language for %s",
    (_, file) => {
      const words = file.proto.package.split(".");
      const { repository } = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as {
        repository?: { url: string };
      };
      const [, home = "github.com/tidings-dev/tidings"] =
        /^(?:git\+)?https:\/\/(.*?)(?:\.git)?$/.exec(repository?.url ?? "") ?? [];
      expect(file.proto.options).toMatchObject({
        csharpNamespace: words.map(capitals).join("."),
        goPackage: `${home}/sdk/go/gen/${words.join("/")};${words.slice(-2).join("")}`,
        javaMultipleFiles: true,
        javaOuterClassname: `${capitals(file.name.split("/").at(-1) ?? "")}Proto`,
        javaPackage: `com.${words.join(".")}`,
        objcClassPrefix: words.length === 2 ? "TXX" : "TVX",
        phpNamespace: words.map(capitals).join("\\"),
        rubyPackage: words.map(capitals).join("::"),
        swiftPrefix: `${words.map(capitals).join("_")}_`,
      });
    },
  );
});

/**
 * Names that a language takes for itself and that its generator does not escape: keywords of Python, methods of Ruby's and
 * Java's objects. All other keywords (`object` in C# and Kotlin, `type` in Go and Rust) are escaped.
 */
const taken = `
  False None True and as assert async await break class continue def del elif else except finally for from global if
  import in is lambda nonlocal not or pass raise return try while with yield

  class clone display dup extend freeze hash inspect itself method methods object_id send taint tap then trust
  all_fields default_instance_for_type descriptor_for_type parser_for_type serialized_size unknown_fields
`;

test("No name of the contract is one that Python, Ruby or Java cannot read as it is written", () => {
  const names = types.flatMap((type) => {
    if (type.kind === "message") return type.members.map(({ name }) => `${type.name}.${name}`);
    return type.kind === "enum" ? type.values.map(({ name }) => `${type.name}.${name}`) : [];
  });
  expect(names.length).toBeGreaterThan(150);
  const words = new Set(taken.trim().split(/\s+/));
  expect(names.filter((name) => words.has(name.split(".").at(-1) as string))).toEqual([]);
});

describe("The folder proto/", () => {
  const buf = `${root}/node_modules/.bin/buf`;

  test("passes buf lint, which wants comments on everything", async () => {
    expect(await run(buf, "lint")).toBe("");
  });

  test("is formatted by buf format", async () => {
    expect(await run(buf, "format", "proto", "--diff", "--exit-code")).toBe("");
  });
});
