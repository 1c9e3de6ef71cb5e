/** The input of a run: a file, or the standard input. */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { toJson } from "@bufbuild/protobuf";
import { AudienceSchema, DraftSchema } from "../../../gen/tidings/v1/message_pb.ts";
import { unreadable } from "../config/read-text.ts";
import type { Io } from "../process/io.ts";
import type { LineDefaults } from "./line-requests.ts";

/** Large enough for a full batch of short lines. */
const chunkBytes = 256 * 1024;

/** Where lines come from. */
export interface Input {
  /** Reads it from its start; a pipe can be read once. */
  open(): AsyncIterable<Uint8Array>;
  /** The size in bytes; undefined for a pipe. */
  readonly size: number | undefined;
}

/** The input at this path; `-` is the standard input. Throws an Error when there is no such file. */
export function openInput(path: string, io: Pick<Io, "input">): Input {
  if (path === "-") return { open: () => io.input(), size: undefined };
  try {
    const stat = statSync(path);
    return { open: () => readFile(path), size: stat.isFile() ? stat.size : undefined };
  } catch (cause) {
    throw unreadable(path, "--file", cause);
  }
}

async function* readFile(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: chunkBytes });
  } catch (cause) {
    throw unreadable(path, "--file", cause);
  }
}

/**
 * Returns a name for a run without one. For a file it is a digest of the content and of the values that the flags add, so that
 * the same command has the same name, and another file, or the same file for another audience, has another. A pipe cannot be
 * read twice, so its name is random.
 */
export async function nameRun(input: Input, { audience, draft, tenantId }: LineDefaults): Promise<string> {
  if (input.size === undefined) return randomBytes(16).toString("hex");
  const added = [audience && toJson(AudienceSchema, audience), toJson(DraftSchema, draft), tenantId];
  const hash = createHash("sha256").update(`${JSON.stringify(added)}\n`);
  for await (const chunk of input.open()) hash.update(chunk);
  return hash.digest("hex").slice(0, 32);
}
