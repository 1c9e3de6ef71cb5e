import { expect, test } from "vitest";
import { type Line, maxLineBytes, readLines } from "../../../src/cli/bulk/lines.ts";

/** The lines of an input that arrives in these chunks. */
async function linesOf(...chunks: readonly (string | Uint8Array)[]): Promise<Line[]> {
  const input = (async function* () {
    for (const chunk of chunks) yield typeof chunk === "string" ? Buffer.from(chunk) : chunk;
  })();
  const lines: Line[] = [];
  for await (const group of readLines(input)) lines.push(...group);
  return lines;
}

function textOf({ bytes }: Line): string | undefined {
  return bytes && Buffer.from(bytes).toString();
}

test.each([1, 2, 3, 7, 64])("Lines are the same in chunks of %i bytes", async (size) => {
  const content = Buffer.from("a\r\nbé\n\n\r\nlong line\nlast");
  const chunks = Array.from({ length: Math.ceil(content.length / size) }, (_, i) =>
    content.subarray(i * size, (i + 1) * size),
  );
  const lines = await linesOf(...chunks);
  expect(lines.map(textOf)).toEqual(["a", "bé", "", "", "long line", "last"]);
  expect(lines.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(lines.map(({ isWhole }) => isWhole)).toEqual([true, true, true, true, true, false]);
  expect(lines.map(({ end }) => end)).toEqual([3, 7, 8, 10, 20, 24]);
});

test("A line is there as soon as its line break is, without waiting for more", async () => {
  const more = Promise.withResolvers<never>();
  const input = (async function* () {
    yield Buffer.from("a\nb");
    await more.promise;
  })();
  const { value } = await readLines(input).next();
  expect(value?.map(textOf)).toEqual(["a"]);
});

test("A line that is too long is dropped, and the next one is not", async () => {
  const part = Buffer.alloc(maxLineBytes / 2, "x");
  const lines = await linesOf(part, part, "\n", part, part, "x", "\nshort\n");
  expect(lines.map(({ bytes, number }) => [number, bytes?.length])).toEqual([
    [1, maxLineBytes],
    [2, undefined],
    [3, 5],
  ]);
});

test("A byte order mark is no part of the first line", async () => {
  expect((await linesOf("\ufeffa\n\ufeffb")).map(textOf)).toEqual(["a", "\ufeffb"]);
  expect((await linesOf("\ufeff")).map(textOf)).toEqual([""]);
});

test("An empty input has no lines", async () => {
  expect(await linesOf()).toEqual([]);
  expect(await linesOf("")).toEqual([]);
});

test.each([
  ["little", Buffer.from([0xff, 0xfe, 0x7b, 0x00, 0x0a, 0x00])],
  ["big", Buffer.from([0xfe, 0xff, 0x00, 0x7b, 0x00, 0x0a])],
])("Input in UTF-16 of %s endian is refused as a whole", async (_, content) => {
  await expect(linesOf(content)).rejects.toThrow("the input is UTF-16; save it as UTF-8");
});
