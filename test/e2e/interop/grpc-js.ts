/** Drives @grpc/grpc-js with the codec of @grpc/proto-loader, which shares no Protobuf code with the server. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import {
  loadSync,
  type MessageTypeDefinition,
  type MethodDefinition,
  type Options,
  type PackageDefinition,
  type ServiceDefinition,
} from "@grpc/proto-loader";
import { writePublicProtos } from "../../../scripts/public-protos.ts";
import { root } from "../../support/run.ts";
import { decodeDetail } from "./details.ts";
import { type Call, CallError, codeName, type Detail, type Driver, endedSilently, Inflow } from "./driver.ts";
import { fromLoader, type Origin, toLoader } from "./loader-json.ts";

/** Makes the loader show messages as near to the JSON form of Protobuf as it can. */
export const loaderOptions: Options = { longs: String, enums: String, bytes: String };

interface Status {
  readonly details?: readonly { readonly type_url: string; readonly value: string }[];
}
const includeDirs = [join(root, "node_modules/google-proto-files")];
const rpc = loadSync("google/rpc/status.proto", { ...loaderOptions, includeDirs });
const statusType = rpc["google.rpc.Status"] as MessageTypeDefinition<Status, Status>;

/** Loads the public contract, as the package ships it. */
export function loadPublicContract(): PackageDefinition {
  const folder = mkdtempSync(join(tmpdir(), "tidings-protos-"));
  try {
    return loadSync([...writePublicProtos(folder)], { ...loaderOptions, includeDirs: [folder] });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Creates a driver for the services of a loaded contract. */
export function grpcDriver(host: string, loaded: PackageDefinition, origin: Origin): Driver {
  const client = new Client(host, credentials.createInsecure());
  const definitionOf = ({ method }: Call) => {
    const service = loaded[method.parent.typeName] as ServiceDefinition;
    return service[method.name] as MethodDefinition<object, object>;
  };

  return {
    unary(call) {
      const { path, requestSerialize, responseDeserialize } = definitionOf(call);
      const request = toLoader(named(call, origin), origin);
      return new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadataOf(call),
          (error, answer) => {
            if (error) reject(toCallError(error));
            else resolve(fromLoader(answer as JsonObject));
          },
        );
      });
    },
    stream(call) {
      const { path, requestSerialize, responseDeserialize } = definitionOf(call);
      const options = call.timeoutMs === undefined ? {} : { deadline: Date.now() + call.timeoutMs };
      const stream = client.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        toLoader(named(call, origin), origin),
        metadataOf(call),
        options,
      );
      const inflow = new Inflow(() => stream.cancel());
      stream.on("data", (event: JsonObject) => inflow.push(fromLoader(event)));
      stream.on("error", (error: ServiceError) => inflow.end(toCallError(error)));
      stream.on("end", () => inflow.end(endedSilently()));
      return inflow;
    },
    close: () => client.close(),
  };
}

function named({ method: { input }, request }: Call, origin: Origin): JsonValue {
  return toJson(input, fromJson(input, request), { useProtoFieldName: origin === "reflection" });
}

function metadataOf({ token }: Call): Metadata {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

function toCallError({ code, details, metadata }: ServiceError): CallError {
  const [encoded] = metadata.get("grpc-status-details-bin");
  return new CallError(codeName(status[code] ?? ""), details, encoded instanceof Buffer ? decodeStatus(encoded) : []);
}

function decodeStatus(encoded: Buffer): Detail[] {
  const { details = [] } = statusType.deserialize(encoded);
  return details.map(({ type_url, value }) => decodeDetail(type_url, Buffer.from(value, "base64")));
}
