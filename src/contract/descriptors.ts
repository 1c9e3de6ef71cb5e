/** Loads the descriptors for validation and reflection. */
import { readFileSync } from "node:fs";
import { createFileRegistry, type FileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

/** The build copies gen/ beside src/, so the path is right in the sources and in the package. */
const image = new URL("../../gen/descriptor.binpb", import.meta.url);

let descriptors: FileRegistry | undefined;

/**
 * Loads the descriptors of everything that a server serves: the contract with its validation rules, which the generated
 * code leaves out, its imports, and the services for health and reflection. Reads the file once per process. Throws
 * when gen/descriptor.binpb is missing or damaged.
 */
export function loadDescriptors(): FileRegistry {
  descriptors ??= createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(image)));
  return descriptors;
}
