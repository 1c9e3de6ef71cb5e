/**
 * The Connect protocol over fetch, in binary Protobuf only. The transport of @connectrpc/connect-web also has JSON, GET
 * and interceptors, which alone would exceed the size limit of this client.
 */
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { PushService } from "../../../gen/tidings/v1/push_service_pb.ts";
import { envelope, messagesOf } from "../streams/envelopes.ts";
import { sentenceOf } from "../tidings-error.ts";
import type { Caller } from "./caller.ts";
import { type Fetch, postTo } from "./http-call.ts";

/** A caller of the server at this URL. */
export function fetchCaller(baseUrl: string, fetcher: Fetch): Caller {
  const post = postTo(baseUrl, fetcher);
  return {
    unary(method, init) {
      const body = encode(method.input, init);
      return async (token, signal) => {
        const response = await post(method.name, "application/proto", body, token, signal);
        return fromBinary(method.output, new Uint8Array(await response.arrayBuffer()));
      };
    },
    async *subscribe(init, token, signal) {
      const method = PushService.method.subscribe;
      const body = envelope(encode(method.input, init));
      const response = await post(method.name, "application/connect+proto", body, token, signal);
      for await (const message of messagesOf(response.body)) yield fromBinary(method.output, message);
    },
  };
}

function encode<I extends DescMessage>(schema: I, init: MessageInitShape<I>): Uint8Array<ArrayBuffer> {
  try {
    return toBinary(schema, create(schema, init));
  } catch (cause) {
    throw new TypeError(`request: ${sentenceOf(cause)}`, { cause });
  }
}
