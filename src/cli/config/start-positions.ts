/** Where `tidings tail` starts: at the positions of a file, at the start of all feeds, or now. */
import { existsSync } from "node:fs";
import type { PositionStorage } from "../../client/state/position-saver.ts";
import { formatPositions, parsePositions } from "../../client/state/positions.ts";
import { canonicalRoom } from "../../rooms/room-ids.ts";
import { readText } from "./read-text.ts";
import { isSpecial, replaceFile } from "./replace-file.ts";
import { UsageError } from "./usage-error.ts";

/** The options that decide. */
export interface StartOptions {
  /** A file of positions; it is written, too. */
  readonly resume: string | undefined;
  /** Start with the oldest messages where there are no positions. */
  readonly fromStart: boolean;
  readonly token: string;
  /** The ids of the rooms to join. */
  readonly rooms: readonly string[];
}

/**
 * The storage that has the client start there, and that keeps its positions in the file. Throws an error when the file
 * cannot be read, or is not one of positions: it would be overwritten.
 */
export function startStorage({ resume, fromStart, token, rooms }: StartOptions): PositionStorage | undefined {
  const saved = resume !== undefined && existsSync(resume) ? readPositions(resume) : undefined;
  const start = fromStart ? formatPositions(oldestPositions(token, rooms)) : null;
  if (resume === undefined && start === null) return undefined;
  return {
    load: () => saved ?? start,
    save: (text) => (resume === undefined ? undefined : replaceFile(resume, `${text}\n`)),
  };
}

/** The text of the file; undefined where it has no positions. */
function readPositions(path: string): string | undefined {
  // Reading a pipe would never end, and a device is not to be replaced.
  if (isSpecial(path)) throw new UsageError(`--resume: ${path} is not a regular file; name another one`, "tail");
  const text = readText(path, "--resume");
  if (text.trim() === "") return undefined;
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && parsePositions(text).length === list.length) return list.length > 0 ? text : undefined;
  } catch {
    // Refused below.
  }
  throw new UsageError(
    `--resume: ${path} is not a file of positions, and would be overwritten; name another one`,
    "tail",
  );
}

/** Epoch 0 stands for the present one, so this is before the first message of each feed. */
function oldestPositions(token: string, rooms: readonly string[]) {
  const feeds = [...feedsOf(token), ...rooms.map((room) => `room/${canonicalRoom(room)}`)];
  return feeds.map((feed) => ({ feed, epoch: 0, seq: "0" }));
}

/** The feeds that the server lets the bearer follow: it refuses positions of others. The token is read, not verified. */
function feedsOf(token: string): readonly string[] {
  let claims: { readonly role?: unknown; readonly tenant?: unknown } = {};
  try {
    claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
  } catch {
    // The server will refuse it.
  }
  if (claims.role !== "service" && claims.role !== "admin") return ["user", "tenant", "activity", "everyone"];
  return claims.tenant === undefined ? ["everyone"] : ["tenant", "activity", "everyone"];
}
