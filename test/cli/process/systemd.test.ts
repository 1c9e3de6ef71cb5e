import { expect, test } from "vitest";
import { socketFromSystemd } from "../../../src/cli/process/systemd.ts";

test.each([
  ["none without its variables", {}, undefined],
  ["the first one", { LISTEN_PID: "7", LISTEN_FDS: "1" }, 3],
  ["none when systemd opened none", { LISTEN_PID: "7", LISTEN_FDS: "0" }, undefined],
  ["none of another process, whose variables were inherited", { LISTEN_PID: "8", LISTEN_FDS: "1" }, undefined],
])("The socket of systemd is %s", (_, env, fd) => {
  expect(socketFromSystemd(env, 7)).toBe(fd);
});

test("Several sockets of systemd are refused", () => {
  expect(() => socketFromSystemd({ LISTEN_PID: "7", LISTEN_FDS: "2" }, 7)).toThrow("systemd passes 2 sockets");
});
