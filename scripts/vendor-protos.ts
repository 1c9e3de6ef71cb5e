/**
 * Writes vendor/: the .proto files that the contract and the server need beside google/protobuf, taken from installed
 * npm packages, so that buf needs no network. Most are copied to the path that their package name requires.
 * validate.proto is in no package as text, so it is printed from the descriptor embedded in @bufbuild/protovalidate.
 * That is enough to compile against; validation itself uses the embedded descriptor.
 */
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { DescEnum, DescExtension, DescField, DescMessage, DescOneof } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

const root = join(import.meta.dirname, "..");
const vendor = join(root, "vendor");

function copy(from: string, to: string): void {
  mkdirSync(dirname(join(vendor, to)), { recursive: true });
  cpSync(join(root, "node_modules", from), join(vendor, to));
}

function typeOf(field: DescField | DescExtension): string {
  if (field.message) return `.${field.message.typeName}`;
  if (field.enum) return `.${field.enum.typeName}`;
  return ScalarType[field.scalar as ScalarType].toLowerCase();
}

function printField(field: DescField | DescExtension): string {
  const label =
    field.fieldKind === "list" ? "repeated " : inOneof(field) || field.presence === implicit ? "" : "optional ";
  if (field.fieldKind === "map") {
    const value =
      field.message?.typeName ?? field.enum?.typeName ?? ScalarType[field.scalar as ScalarType].toLowerCase();
    return `map<${ScalarType[field.mapKey].toLowerCase()}, ${value}> ${field.name} = ${field.number};`;
  }
  return `${label}${typeOf(field)} ${field.name} = ${field.number};`;
}

const implicit = FeatureSet_FieldPresence.IMPLICIT;

function inOneof(field: DescField | DescExtension): boolean {
  return field.kind === "field" && field.oneof !== undefined;
}

function printOneof(oneof: DescOneof): string {
  return `oneof ${oneof.name} { ${oneof.fields.map(printField).join(" ")} }`;
}

function printEnum(desc: DescEnum): string {
  return `enum ${desc.name} { ${desc.values.map((v) => `${v.name} = ${v.number};`).join(" ")} }`;
}

function printExtension(ext: DescExtension): string {
  return `extend .${ext.extendee.typeName} { ${printField(ext)} }`;
}

function printMessage(desc: DescMessage): string {
  const ranges = desc.proto.extensionRange.map(
    (r) => `extensions ${r.start} to ${(r.end ?? 0) > 536870911 ? "max" : (r.end ?? 0) - 1};`,
  );
  return [
    `message ${desc.name} {`,
    ...ranges,
    ...desc.nestedEnums.map(printEnum),
    ...desc.nestedMessages.map(printMessage),
    ...desc.members.map((m) => (m.kind === "oneof" ? printOneof(m) : printField(m))),
    ...desc.nestedExtensions.map(printExtension),
    "}",
  ].join("\n");
}

rmSync(vendor, { recursive: true, force: true });
copy("@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto", "grpc/grpc/reflection/v1/reflection.proto");
copy(
  "@grpc/reflection/build/proto/grpc/reflection/v1alpha/reflection.proto",
  "grpc/grpc/reflection/v1alpha/reflection.proto",
);
copy("grpc-health-check/proto/health/v1/health.proto", "grpc/grpc/health/v1/health.proto");
copy("google-proto-files/google/rpc/error_details.proto", "rpc/google/rpc/error_details.proto");

const file = file_buf_validate_validate;
const source = [
  `syntax = "${file.proto.syntax || "proto2"}";`,
  `package ${file.proto.package};`,
  ...file.proto.dependency.map((d) => `import "${d}";`),
  ...file.enums.map(printEnum),
  ...file.messages.map(printMessage),
  ...file.extensions.map(printExtension),
].join("\n");
const target = join(vendor, "protovalidate/buf/validate/validate.proto");
mkdirSync(dirname(target), { recursive: true });
writeFileSync(target, source);
