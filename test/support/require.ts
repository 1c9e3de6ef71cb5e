/** Tests that run only where the tools that they need are there. */
import { describe, test } from "vitest";
import { missingTool, type Tool } from "./tools.ts";

/** `describe` where all the tools are there; else `describe.skip`, beside a skipped test that says what is missing. */
export function describeWith(...tools: readonly Tool[]): ReturnType<typeof describe.skipIf> {
  return describe.skipIf(isMissing(tools));
}

/** `test` where all the tools are there; else `test.skip`, beside a skipped test that says what is missing. */
export function testWith(...tools: readonly Tool[]): ReturnType<typeof test.skipIf> {
  return test.skipIf(isMissing(tools));
}

/** Registers a skipped test for each tool that is missing, and prints its name: CI lists show neither by themselves. */
function isMissing(tools: readonly Tool[]): boolean {
  const missing = tools.filter(({ path }) => path === undefined);
  for (const tool of missing) {
    console.log(`skipped: ${missingTool(tool)}`);
    test.skip(missingTool(tool), () => {});
  }
  return missing.length > 0;
}
