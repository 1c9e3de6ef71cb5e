import { expect, test } from "vitest";
import { PushService } from "../../../../gen/tidings/v1/push_service_pb.ts";
import { errorOf } from "../caller.ts";
import type { Traits } from "../driver.ts";
import { factsOf, meet, note, type Stage, toUser } from "./people.ts";

const { publish, publishBatch, listUnread, listMessages } = PushService.method;
const audience = toUser("ann");

/** Registers the tests of errors. */
export function errors(stage: Stage, { streamDetails }: Traits): void {
  test("learns which field is invalid", async (context) => {
    const { ann, backend } = await meet(stage, context);
    const error = await errorOf(backend.call(publish, { audience, message: note("", { url: "javascript:alert(1)" }) }));
    expect(error.code).toBe("invalid_argument");
    expect(error.message).toMatch(/^message\.url: /);
    expect(error.detail("google.rpc.ErrorInfo")).toEqual({
      reason: "FIELD_INVALID",
      domain: "tidings",
      metadata: { field: "message.url" },
    });
    const violation = { field: "message.url", reason: "FIELD_INVALID", description: expect.stringMatching(/\w/) };
    expect(error.detail("google.rpc.BadRequest")).toEqual({ fieldViolations: [violation] });
    const { messages } = await ann.call(listMessages, {});
    expect(messages).toEqual([]);
  });

  test("is refused without a token, and with a malformed one", async (context) => {
    const { nobody, forger } = await meet(stage, context);
    const missing = await errorOf(nobody.call(listUnread, {}));
    expect(factsOf(missing)).toEqual({ code: "unauthenticated", reason: "TOKEN_MISSING", field: undefined });
    const forged = await errorOf(forger.call(listUnread, {}));
    expect(factsOf(forged)).toEqual({ code: "unauthenticated", reason: "TOKEN_INVALID", field: undefined });
  });

  test("is refused a method that its role may not call", async (context) => {
    const { ann, backend } = await meet(stage, context);
    const forbidden = { code: "permission_denied", reason: "ROLE_FORBIDDEN", field: undefined };
    const publishing = await errorOf(ann.call(publishBatch, { requests: [{ audience, message: note("mine") }] }));
    expect(factsOf(publishing)).toEqual(forbidden);
    expect(factsOf(await errorOf(backend.call(listUnread, {})))).toEqual(forbidden);
  });

  test("is refused an invalid stream before the first event", async (context) => {
    const { ann, nobody, forger } = await meet(stage, context);
    expect(factsOf(await nobody.subscribe().end())).toMatchObject({ code: "unauthenticated", reason: "TOKEN_MISSING" });
    expect(factsOf(await forger.subscribe().end())).toMatchObject({ code: "unauthenticated", reason: "TOKEN_INVALID" });
    const positions = [{ feed: "user", epoch: 0, seq: "99" }];
    const future = await ann.subscribe({ positions }).end();
    const field = streamDetails ? "positions[0]" : undefined;
    expect(factsOf(future)).toEqual({ code: "invalid_argument", reason: "POSITION_IN_FUTURE", field });
    expect(future.message).toContain("positions[0]");
  });
}
