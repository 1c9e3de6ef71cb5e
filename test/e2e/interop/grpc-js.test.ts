import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Client, credentials } from "@grpc/grpc-js";
import {
  loadFileDescriptorSetFromBuffer,
  loadSync,
  type MethodDefinition,
  type PackageDefinition,
  type ServiceDefinition,
} from "@grpc/proto-loader";
import { root } from "../../support/run.ts";
import { grpcDriver, loaderOptions, loadPublicContract } from "./grpc-js.ts";
import { scenario } from "./scenario/index.ts";

interface Answer {
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly string[] };
}

/** Loads the contract by reflection. */
async function fromReflection(host: string): Promise<PackageDefinition> {
  const includeDirs = [join(root, "vendor/grpc")];
  const loaded = loadSync("grpc/reflection/v1/reflection.proto", { ...loaderOptions, includeDirs });
  const reflection = loaded["grpc.reflection.v1.ServerReflection"] as ServiceDefinition;
  const method = reflection.ServerReflectionInfo as MethodDefinition<object, Answer>;
  const client = new Client(host, credentials.createInsecure());
  const stream = client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize);
  for (const service of ["PushService", "AdminService"])
    stream.write({ fileContainingSymbol: `tidings.v1.${service}` });
  stream.end();
  // Each response has all files that it needs, so some files come twice.
  const files = new Map<string, FileDescriptorProto>();
  for await (const { fileDescriptorResponse } of stream as AsyncIterable<Answer>) {
    for (const text of fileDescriptorResponse?.fileDescriptorProto ?? []) {
      const file = fromBinary(FileDescriptorProtoSchema, Buffer.from(text, "base64"));
      files.set(file.name, file);
    }
  }
  client.close();
  const set = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [...files.values()] }));
  return loadFileDescriptorSetFromBuffer(Buffer.from(set), loaderOptions);
}

const hostOf = (url: string) => new URL(url).host;

scenario("grpc-js: contract from files", (url) => grpcDriver(hostOf(url), loadPublicContract(), "files"));
scenario("grpc-js: contract by reflection", async (url) => {
  const host = hostOf(url);
  return grpcDriver(host, await fromReflection(host), "reflection");
});
