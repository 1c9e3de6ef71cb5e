/** Programs and servers that tests need and that a machine may lack. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** A program or a server that some tests need and that a machine may lack. */
export interface Tool {
  /** As a reader knows it, such as `grpcurl`. */
  readonly name: string;
  /** How to get it. */
  readonly hint: string;
  /** Where it is: a path, or the URL of a server. Undefined where it is missing. */
  readonly path: string | undefined;
}

/** Looks for a program on PATH. Throws where it is missing and nothing may be skipped (TIDINGS_TEST_REQUIRE_ALL=1). */
export function findTool(name: string, hint: string): Tool {
  const path = (process.env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find(isExecutable);
  if (path === undefined && process.env.TIDINGS_TEST_REQUIRE_ALL === "1") throw new Error(missingTool({ name, hint }));
  return { name, hint, path };
}

/** The path of a tool, for a test that runs only where the tool is there. */
export function pathOf(tool: Tool): string {
  if (tool.path === undefined) throw new Error(missingTool(tool));
  return tool.path;
}

/** Says that a tool is missing, and how to get it. */
export function missingTool({ name, hint }: Pick<Tool, "name" | "hint">): string {
  return `${name} is missing: ${hint}`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
