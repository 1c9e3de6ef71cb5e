/** Makes the request of a line. The flags fill in the fields that it leaves out, and its number makes its request id. */
import { create, isFieldSet, toBinary } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { type Audience, type Draft, DraftSchema } from "../../../gen/tidings/v1/message_pb.ts";
import { type PublishRequest, PublishRequestSchema } from "../../../gen/tidings/v1/push_service_pb.ts";
import { RequestJson } from "../../contract/request-json.ts";
import { type Line, maxLineBytes } from "./lines.ts";

/** The values of the flags for every line. */
export interface LineDefaults {
  /** The audience. When it is set, a line is the message alone. */
  readonly audience: Audience | undefined;
  /** The fields of the message that a line may leave out. */
  readonly draft: Draft;
  readonly tenantId: string;
}

/** The outcome of reading a line: a request, or why there is none. */
export type LineResult = PublishRequest | { readonly fault: string };

/** Reads the lines of one run. */
export class LineRequests {
  readonly #defaults: LineDefaults;
  readonly #run: string;
  readonly #requests = new RequestJson(PublishRequestSchema, false);
  readonly #drafts = new RequestJson(DraftSchema, false);
  /** The bytes that the defaults add to a request, at most. */
  readonly addedBytes: number;

  /**
   * `run` names the run: the same line of the same run has the same request id, so the server publishes it once however
   * often the run is repeated.
   */
  constructor(defaults: LineDefaults, run: string) {
    this.#defaults = defaults;
    this.#run = run;
    const { audience, draft, tenantId } = defaults;
    const message = create(PublishRequestSchema, { message: draft, tenantId, ...(audience && { audience }) });
    this.addedBytes = toBinary(PublishRequestSchema, message).length;
  }

  /** The request of a line, or the reason why it is none; undefined for a blank line. */
  read(line: Line): LineResult | undefined {
    if (line.bytes === undefined) return { fault: `is longer than ${maxLineBytes} bytes` };
    if (line.bytes.every((byte) => byte === 32 || byte === 9)) return undefined;
    try {
      return this.#complete(this.#parse(line.bytes), line.number);
    } catch (error) {
      return { fault: faultOf(error, line) };
    }
  }

  #parse(bytes: Uint8Array): PublishRequest {
    const { audience } = this.#defaults;
    if (audience === undefined) return this.#requests.parse(bytes);
    return create(PublishRequestSchema, { audience, message: this.#drafts.parse(bytes) });
  }

  #complete(request: PublishRequest, number: number): PublishRequest {
    request.tenantId ||= this.#defaults.tenantId;
    // A request that replaces must name the message itself: the server refuses it without an id.
    if (!request.replace) request.requestId ||= `${this.#run}/${number}`;
    if (request.message !== undefined) fill(request.message, this.#defaults.draft);
    return request;
  }
}

/** Sets the fields that a message leaves out. */
function fill(message: Draft, defaults: Draft): void {
  const own = message as unknown as Record<string, unknown>;
  const other = defaults as unknown as Record<string, unknown>;
  for (const field of DraftSchema.fields) {
    if (isFieldSet(message, field) || !isFieldSet(defaults, field)) continue;
    if (field.oneof === undefined) own[field.localName] = other[field.localName];
    else if (message.payload.case === undefined) message.payload = defaults.payload;
  }
}

function faultOf(error: unknown, { bytes, isWhole }: Line): string {
  if (error instanceof ConnectError) return error.rawMessage;
  if (error instanceof TypeError) return "is not UTF-8";
  try {
    JSON.parse(Buffer.from(bytes ?? []).toString());
    return "must be a JSON object";
  } catch {
    return isWhole ? "is not JSON" : "is not JSON; the input ends within it";
  }
}
