import fc from "fast-check";
import { expect, test } from "vitest";
import { envelope, envelopes } from "../../../src/client/streams/envelopes.ts";

function body(bytes: Uint8Array, cuts: number[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  let from = 0;
  return new ReadableStream({
    start(controller) {
      for (const end of ends) {
        controller.enqueue(bytes.slice(from, end));
        from = end;
      }
      controller.close();
    },
  });
}

test("A body is split into its envelopes, however it was cut into chunks", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 })), fc.array(fc.nat(5_000)), async (messages, cuts) => {
      const bytes = Buffer.concat(messages.map((message) => envelope(message)));
      const got: Uint8Array[] = [];
      for await (const { flags, data } of envelopes(body(bytes, cuts))) {
        expect(flags).toBe(0);
        got.push(new Uint8Array(data));
      }
      expect(got).toEqual(messages.map((message) => new Uint8Array(message)));
    }),
  );
});

test("An envelope longer than a Tidings server sends is refused by its header", async () => {
  const reading = envelopes(body(new Uint8Array([0, 255, 255, 255, 255]), [])).next();
  await expect(reading).rejects.toMatchObject({ code: "internal" });
});

test("Leaving the loop over envelopes cancels the body", async () => {
  let canceled = false;
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => controller.enqueue(envelope(new Uint8Array(3))),
    cancel: () => {
      canceled = true;
    },
  });
  for await (const _ of envelopes(stream)) break;
  expect(canceled).toBe(true);
});
