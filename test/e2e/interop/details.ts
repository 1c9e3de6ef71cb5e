import { createRegistry, fromBinary, type JsonObject, toJson } from "@bufbuild/protobuf";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import type { Detail } from "./driver.ts";

const known = createRegistry(ErrorInfoSchema, BadRequestSchema, RetryInfoSchema);

/** Decodes a detail. `type` may be the type URL of an Any. Throws for a type that is not in google.rpc. */
export function decodeDetail(type: string, encoded: Uint8Array): Detail {
  const name = type.slice(type.lastIndexOf("/") + 1);
  const schema = known.getMessage(name);
  if (!schema) throw new Error(`an error has a detail of the type ${type}`);
  return { type: name, value: toJson(schema, fromBinary(schema, encoded)) as JsonObject };
}

/** An error in Connect's JSON form (https://connectrpc.com/docs/protocol#error-end-stream). */
export interface WireError {
  readonly code?: string;
  readonly message?: string;
  readonly details?: readonly { readonly type: string; readonly value: string }[];
}

/** Decodes the details of an error in Connect's JSON form. */
export function decodeDetails({ details = [] }: WireError): Detail[] {
  return details.map(({ type, value }) => decodeDetail(type, Buffer.from(value, "base64")));
}
