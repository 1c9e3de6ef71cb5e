/** Drives any transport of Connect's own clients. */
import { type DescMessage, type DescMethodUnary, fromJson, toJson } from "@bufbuild/protobuf";
import { type CallOptions, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import {
  PushService,
  SubscribeRequestSchema,
  SubscribeResponseSchema,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import { type Call, CallError, codeName, type Detail, type Driver, endedSilently, Inflow } from "./driver.ts";

/** Creates a driver for a transport; `close` frees its connections. */
export function connectDriver(transport: Transport, close: () => void): Driver {
  const client = createClient(PushService, transport);

  async function feed(call: Call, signal: AbortSignal, inflow: Inflow): Promise<void> {
    try {
      const request = fromJson(SubscribeRequestSchema, call.request);
      const events = client.subscribe(request, { ...optionsOf(call), signal });
      for await (const event of events) inflow.push(toJson(SubscribeResponseSchema, event));
      inflow.end(endedSilently());
    } catch (error) {
      inflow.end(toCallError(error));
    }
  }

  return {
    async unary(call) {
      // The scenario calls only unary methods in this way.
      const method = call.method as DescMethodUnary<DescMessage, DescMessage>;
      const { headers, timeoutMs } = optionsOf(call);
      const request = fromJson(method.input, call.request);
      try {
        const { message } = await transport.unary(method, undefined, timeoutMs, headers, request);
        return toJson(method.output, message);
      } catch (error) {
        throw toCallError(error);
      }
    },
    stream(call) {
      const abort = new AbortController();
      const inflow = new Inflow(() => abort.abort());
      void feed(call, abort.signal, inflow);
      return inflow;
    },
    close,
  };
}

function optionsOf({ token, timeoutMs }: Call): CallOptions {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return { headers, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}

function toCallError(thrown: unknown): CallError {
  const error = ConnectError.from(thrown);
  const details = [ErrorInfoSchema, BadRequestSchema, RetryInfoSchema].flatMap((schema: DescMessage) =>
    error.findDetails(schema).map((detail) => ({ type: schema.typeName, value: toJson(schema, detail) }) as Detail),
  );
  return new CallError(codeName(Code[error.code] ?? ""), error.rawMessage, details);
}
