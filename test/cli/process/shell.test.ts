import { expect, test } from "vitest";
import { runShell } from "../../../src/cli/process/shell.ts";

test("A shell command's output is returned as it is printed", async () => {
  expect(await runShell("echo a.b && echo c", "inherit")).toBe("a.b\nc\n");
});

test.each([
  ["exit 3", "the command failed with exit code 3"],
  ["kill -9 $$", "the command was ended by SIGKILL"],
  ["yes 2>/dev/null", "the command printed more than 1 MiB"],
])("A shell command that does not succeed is an error: %s", async (command, sentence) => {
  await expect(runShell(command, "inherit")).rejects.toThrow(sentence);
});

test("A shell command finds nothing on a stdin that is ignored", async () => {
  expect(await runShell("cat; echo a.b", "ignore")).toBe("a.b\n");
});
