/** Publishes with request ids, so that no retry stores a message twice. */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type PublishBatchResponse,
  type PublishOutcome,
  PublishRequestSchema,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import type { PublishInit } from "../codec/proto.ts";
import { randomId } from "../options.ts";
import { codeOfName, TidingsError } from "../tidings-error.ts";
import { isTransient, type RetryContext, withRetries } from "./retry.ts";
import type { CallOptions } from "./unary.ts";

/** The limit of a PublishBatchRequest. */
const maxItems = 1_000;

/** The size at which a call has enough, in bytes. */
const maxBytes = 1024 * 1024;

/**
 * The request with a request id: its own, or a random one. A request that replaces a message has to name it, so that one is
 * left as it is, for the server to refuse.
 */
export function withRequestId(request: PublishInit): PublishInit {
  return request.requestId || request.replace ? request : { ...request, requestId: randomId() };
}

/** Splits requests into those of one call each, and gives each a request id. There is always a first call. */
export function splitBatch(requests: readonly PublishInit[]): PublishInit[][] {
  const calls: PublishInit[][] = [];
  let call: PublishInit[] = [];
  let bytes = 0;
  for (const request of requests) {
    const size = toBinary(PublishRequestSchema, create(PublishRequestSchema, request)).length;
    if (call.length === maxItems || (call.length > 0 && bytes + size > maxBytes)) {
      calls.push(call);
      call = [];
      bytes = 0;
    }
    call.push(withRequestId(request));
    bytes += size;
  }
  return [...calls, call];
}

/**
 * Publishes the requests of one call, and repeats those that fail for now. When the time is over, or a repetition fails as a
 * whole, the outcomes so far are the answer.
 */
export async function publishAll(
  context: RetryContext,
  options: CallOptions,
  requests: readonly PublishInit[],
  send: (requests: PublishInit[], options: CallOptions) => Promise<PublishBatchResponse>,
): Promise<PublishOutcome[]> {
  const outcomes: PublishOutcome[] = [];
  let pending = Array.from(requests, (request, index) => ({ request, index }));
  const attempt = async (left: CallOptions) => {
    const sent = pending.map(({ request }) => request);
    const response = await send(sent, left);
    const failures = pending.flatMap((item, at) => {
      const outcome = response.outcomes[at];
      if (outcome === undefined) throw new TidingsError("internal", "the answer lacks an outcome");
      outcomes[item.index] = outcome;
      const error = errorOf(outcome);
      return error && isTransient(error) ? [{ item, error }] : [];
    });
    pending = failures.map(({ item }) => item);
    if (failures[0] !== undefined) throw failures[0].error;
  };
  await withRetries(context, options, attempt).catch((error: unknown) => {
    if (outcomes.length === 0) throw error;
  });
  return outcomes;
}

function errorOf({ result }: PublishOutcome): TidingsError | undefined {
  if (result.case !== "error") return undefined;
  const { code, reason, message } = result.value;
  return new TidingsError(codeOfName(code) ?? "unknown", message, { reason });
}
