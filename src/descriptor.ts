/** The descriptors that validation and reflection read. */
import { readFileSync } from "node:fs";
import { create, createFileRegistry, type FileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { file_grpc_health_v1_health } from "../gen/grpc/health/v1/health_pb.ts";
import { file_grpc_reflection_v1_reflection } from "../gen/grpc/reflection/v1/reflection_pb.ts";
import { file_grpc_reflection_v1alpha_reflection } from "../gen/grpc/reflection/v1alpha/reflection_pb.ts";

/** Served beside the contract, and no part of it. */
const companions = [
  file_grpc_health_v1_health,
  file_grpc_reflection_v1_reflection,
  file_grpc_reflection_v1alpha_reflection,
];

let descriptors: FileRegistry | undefined;

/**
 * All that a server serves: the contract with its validation rules and all its imports, as gen/descriptor.binpb has
 * them (the generated code leaves the rules out), and the services for health and reflection. Read once per process.
 * Throws when the file is missing or damaged.
 */
export function loadDescriptors(): FileRegistry {
  descriptors ??= readDescriptors();
  return descriptors;
}

/** The build copies gen/ beside src/, so that the path is right before and after it. */
function readDescriptors(): FileRegistry {
  const contract = fromBinary(
    FileDescriptorSetSchema,
    readFileSync(new URL("../gen/descriptor.binpb", import.meta.url)),
  );
  const file = [...contract.file, ...companions.map(({ proto }) => proto)];
  return createFileRegistry(create(FileDescriptorSetSchema, { file }));
}
