/**
 * protoc-gen-es without the options for other languages (go_package, java_package and so on): generated code embeds the
 * options of each file, and every page that loads the typed client would load them, too. buf runs it as a plugin: a
 * CodeGeneratorRequest on stdin, a CodeGeneratorResponse on stdout.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { CodeGeneratorRequestSchema } from "@bufbuild/protobuf/wkt";

const plugin = join(import.meta.dirname, "../node_modules/.bin/protoc-gen-es");
const request = fromBinary(CodeGeneratorRequestSchema, await buffer(process.stdin));
// None of our files has other options.
for (const file of [...request.protoFile, ...request.sourceFileDescriptors]) delete file.options;
process.stdout.write(
  execFileSync(plugin, { input: toBinary(CodeGeneratorRequestSchema, request), maxBuffer: 2 ** 28 }),
);
