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

test("messages come back whole, however the body was cut", async () => {
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

test("a length that no Tidings server sends is refused before it is waited for", async () => {
  const reading = envelopes(body(new Uint8Array([0, 255, 255, 255, 255]), [])).next();
  await expect(reading).rejects.toMatchObject({ code: "internal" });
});

test("leaving the loop gives the body up", async () => {
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
