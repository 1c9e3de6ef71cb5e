/** What validation accepts can be encoded in both codecs, and is the same after it has been decoded again. */
import {
  create,
  type DescMessage,
  equals,
  fromBinary,
  fromJsonString,
  type MessageShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Message, MessageSchema } from "../../gen/tidings/v1/message_pb.ts";
import { loadDescriptors } from "../../src/contract/descriptors.ts";
import { RequestJson } from "../../src/contract/request-json.ts";
import { createValidate } from "../../src/contract/validate.ts";
import { reasonOf } from "../../src/errors.ts";
import {
  AdminService,
  BridgeFrameSchema,
  type PublishRequest,
  PublishRequestSchema,
  PushService,
} from "../../src/gen.ts";
import { toMessage } from "../../src/publish/draft.ts";
import { draft } from "../support/drafts.ts";
import { wildRequest } from "../support/wild-requests.ts";

const validate = createValidate(loadDescriptors());

function accepts<Desc extends DescMessage>(desc: Desc, message: ReturnType<typeof create<Desc>>): boolean {
  try {
    validate(desc, message);
    return true;
  } catch {
    return false;
  }
}

/** The result, or undefined if the call throws FIELD_INVALID. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    expect(reasonOf(ConnectError.from(error))).toBe("FIELD_INVALID");
    return undefined;
  }
}

/** The JSON of a message; undefined for one with a time before the year 1 or after 9999, which Protobuf alone can name. */
function jsonOf<Desc extends DescMessage>(desc: Desc, message: MessageShape<Desc>): string | undefined {
  try {
    return toJsonString(desc, message);
  } catch (error) {
    expect((error as Error).message).toContain("must be from 0001-01-01");
    return undefined;
  }
}

/** Numbers in JSON have one zero. */
const sameZero = (text: string) => text.replace(/(?<=[:[,])-0(?=[,\]}])/g, "0");

const inputs: readonly DescMessage[] = [
  ...[...PushService.methods, ...AdminService.methods].map(({ input }) => input),
  BridgeFrameSchema,
];

describe("Whatever validation accepts round-trips in both codecs:", () => {
  test.each(inputs.map((desc) => [desc.name, desc] as const))("%s", (_name, desc) => {
    let accepted = 0;
    fc.assert(
      fc.property(wildRequest(desc), ({ binary }) => {
        const request = fromBinary(desc, binary, { readUnknownFields: false });
        if (!accepts(desc, request)) return;
        // The items of a batch are checked one by one.
        const { requests = [] } = request as { requests?: PublishRequest[] };
        if (!requests.every((item) => accepts(PublishRequestSchema, item))) return;
        accepted++;
        const text = jsonOf(desc, request);
        if (text === undefined) return;
        const decoded = new RequestJson(desc, false).parse(Buffer.from(text));
        expect(sameZero(toJsonString(desc, decoded))).toBe(sameZero(text));
        expect(accepts(desc, decoded)).toBe(true);
        expect(equals(desc, fromBinary(desc, toBinary(desc, request)), request)).toBe(true);
      }),
      { numRuns: 300 },
    );
    // A publish has to have too many right fields at once; the test below makes those.
    if (!desc.name.startsWith("Publish")) expect(accepted).toBeGreaterThan(0);
  });

  test("a PublishRequest with a draft, and the Message that is made of it", () => {
    let accepted = 0;
    fc.assert(
      fc.property(draft, (given) => {
        const audience = { to: { case: "userId", value: "ann" } } as const;
        const request = create(PublishRequestSchema, { audience, message: given });
        const received = fromBinary(PublishRequestSchema, toBinary(PublishRequestSchema, request));
        if (!accepts(PublishRequestSchema, received) || !received.message) return;
        accepted++;
        const json = toJsonString(PublishRequestSchema, received);
        const decoded = new RequestJson(PublishRequestSchema, false);
        // An integer that a double does not hold exactly is refused in JSON alone.
        const again = attempt(() => decoded.parse(Buffer.from(json)));
        if (again) expect(sameZero(toJsonString(PublishRequestSchema, again))).toBe(sameZero(json));
        const message: Message = create(MessageSchema, toMessage(received.message));
        const bytes = toBinary(MessageSchema, message);
        expect(toBinary(MessageSchema, fromBinary(MessageSchema, bytes))).toEqual(bytes);
        const text = toJsonString(MessageSchema, message);
        expect(sameZero(toJsonString(MessageSchema, fromJsonString(MessageSchema, text)))).toBe(sameZero(text));
      }),
      { numRuns: 500 },
    );
    expect(accepted).toBeGreaterThan(50);
  });
});
