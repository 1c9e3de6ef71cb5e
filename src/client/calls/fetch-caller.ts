/**
 * The Connect protocol over fetch, in binary Protobuf only. The transport of @connectrpc/connect-web also has JSON, GET
 * and interceptors, which alone would exceed the size limit of this client.
 */
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { PushService, type SubscribeResponse } from "../../../gen/tidings/v1/push_service_pb.ts";
import { endStreamFlag, envelope, envelopes } from "../streams/envelopes.ts";
import { sentenceOf, TidingsError } from "../tidings-error.ts";
import { authorization, type Caller } from "./caller.ts";
import { type Fetch, post, servicePath } from "./http-call.ts";
import { errorFromJson } from "./wire-error.ts";

/** A caller of the server at this URL. */
export function fetchCaller(baseUrl: string, fetcher: Fetch): Caller {
  const send = (
    method: { name: string },
    contentType: string,
    body: Uint8Array<ArrayBuffer>,
    token: string,
    signal: AbortSignal,
  ) =>
    post(fetcher, {
      url: `${baseUrl}/${servicePath}/${method.name}`,
      contentType,
      body,
      headers: authorization(token),
      signal,
    });
  return {
    unary(method, init) {
      const body = encode(method.input, init);
      return async (token, signal) => {
        const response = await send(method, "application/proto", body, token, signal);
        return fromBinary(method.output, new Uint8Array(await response.arrayBuffer()));
      };
    },
    async *subscribe(init, token, signal) {
      const method = PushService.method.subscribe;
      const body = envelope(encode(method.input, init));
      yield* messages(await send(method, "application/connect+proto", body, token, signal));
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

async function* messages(response: Response): AsyncGenerator<SubscribeResponse> {
  if (response.body === null) throw new TidingsError("unavailable", "the response has no body");
  for await (const { flags, data } of envelopes(response.body)) {
    if (flags === 0) {
      yield fromBinary(PushService.method.subscribe.output, data);
    } else if (flags === endStreamFlag) {
      const { error } = JSON.parse(new TextDecoder().decode(data)) as { error?: unknown };
      if (error === undefined) return;
      throw (
        errorFromJson(error) ?? new TidingsError("unavailable", "the stream ended with an error in an unknown format")
      );
    } else {
      // Compressed, although the request accepts no compression.
      throw new TidingsError("internal", `the stream has an envelope with the flags ${flags}`);
    }
  }
}
