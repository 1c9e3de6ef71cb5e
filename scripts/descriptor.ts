/**
 * Writes gen/descriptor.binpb: the whole contract with its rules, its imports, and the comments of our own files, which
 * `grpcurl describe` shows and generators copy. Comments of imports, and the line numbers of the sources, would make the
 * file five times as large.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { clearField, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const root = join(import.meta.dirname, "..");
const built = execFileSync(join(root, "node_modules/.bin/buf"), ["build", "-o", "-"], {
  cwd: root,
  maxBuffer: 2 ** 26,
});
const image = fromBinary(FileDescriptorSetSchema, built);
for (const file of image.file) {
  if (!file.package.startsWith("tidings.")) {
    clearField(file, FileDescriptorProtoSchema.field.sourceCodeInfo);
    continue;
  }
  const info = file.sourceCodeInfo;
  if (info === undefined) throw new Error(`buf built ${file.name} without comments`);
  info.location = info.location.filter(({ leadingComments, trailingComments }) => leadingComments || trailingComments);
  // Readers of descriptors expect a span, but a reader without the sources has no use for the right one.
  for (const location of info.location) location.span = [0, 0, 0];
}
writeFileSync(join(root, "gen/descriptor.binpb"), toBinary(FileDescriptorSetSchema, image));
