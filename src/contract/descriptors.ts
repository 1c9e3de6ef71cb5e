/** The descriptors that validation and reflection read. */
import { readFileSync } from "node:fs";
import { createFileRegistry, type FileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

/** The build copies gen/ beside src/, so that the path is right before and after it. */
const image = new URL("../../gen/descriptor.binpb", import.meta.url);

let descriptors: FileRegistry | undefined;

/**
 * All that a server serves: the contract with its validation rules (which the generated code leaves out), what it
 * imports, and the services for health and reflection. Read once per process. Throws when gen/descriptor.binpb is
 * missing or damaged.
 */
export function loadDescriptors(): FileRegistry {
  descriptors ??= createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(image)));
  return descriptors;
}
