import fc from "fast-check";
import { expect, test } from "vitest";
import { envelope, messagesOf } from "../../../src/client/streams/envelopes.ts";

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

test("A body is split into its messages, however it was cut into chunks", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 })), fc.array(fc.nat(5_000)), async (messages, cuts) => {
      const bytes = Buffer.concat(messages.map((message) => envelope(message)));
      const got: Uint8Array[] = [];
      for await (const data of messagesOf(body(bytes, cuts))) got.push(new Uint8Array(data));
      expect(got).toEqual(messages.map((message) => new Uint8Array(message)));
    }),
  );
});

test("An envelope longer than a Tidings server sends is refused by its header", async () => {
  const reading = messagesOf(body(new Uint8Array([0, 255, 255, 255, 255]), [])).next();
  await expect(reading).rejects.toMatchObject({ code: "internal" });
});

test("Leaving the loop over messages cancels the body", async () => {
  let canceled = false;
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => controller.enqueue(envelope(new Uint8Array(3))),
    cancel: () => {
      canceled = true;
    },
  });
  for await (const _ of messagesOf(stream)) break;
  expect(canceled).toBe(true);
});

/** The last envelope of a stream. */
function endOfStream(json: unknown): Uint8Array {
  const bytes = envelope(new TextEncoder().encode(JSON.stringify(json)));
  bytes[0] = 2;
  return bytes;
}

test("The error at the end of a stream is thrown after its messages", async () => {
  const bytes = Buffer.concat([envelope(new Uint8Array(3)), endOfStream({ error: { code: "not_found" } })]);
  const messages = messagesOf(body(bytes, [1, 6, 9]));
  expect((await messages.next()).value).toHaveLength(3);
  await expect(messages.next()).rejects.toMatchObject({ code: "not_found" });
});

test.each([[{}], [{ metadata: {} }], [{ error: { code: "of another protocol" } }]])(
  "A stream that ends with %j just ends",
  async (end) => {
    const bytes = Buffer.concat([endOfStream(end), envelope(new Uint8Array(1))]);
    expect(await messagesOf(body(bytes, [])).next()).toEqual({ done: true, value: undefined });
  },
);

test.each([1, 3, 4, 255])("An envelope with the flags %i is refused", async (flags) => {
  const reading = messagesOf(body(new Uint8Array([flags, 0, 0, 0, 0]), [])).next();
  await expect(reading).rejects.toMatchObject({ code: "internal" });
});

test("A response without a body has no messages", async () => {
  expect(await messagesOf(null).next()).toEqual({ done: true, value: undefined });
});
