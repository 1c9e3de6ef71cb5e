/** Drives command-line programs that print messages as JSON, one process per call. */
import { spawn } from "node:child_process";
import type { JsonValue } from "@bufbuild/protobuf";
import { root } from "../../support/run.ts";
import { type Call, type Driver, type EventStream, endedSilently, Inflow, type Traits } from "./driver.ts";

/** A command-line program. */
export interface Tool {
  readonly program: string;
  /** The arguments for a call. */
  args(call: Call): readonly string[];
  /** Parses the error that the program printed. */
  readError(printed: string): Error;
}

/** Long enough for a process to start on a busy machine. */
export const processTraits: Traits = { deadlineMs: 1000, streamDetails: true };

/** Creates a driver for a program. */
export function processDriver(tool: Tool): Driver {
  const running = new Set<EventStream>();
  const start = (call: Call): EventStream => {
    const child = spawn(tool.program, tool.args(call), { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    const inflow = new Inflow(() => child.kill("SIGKILL"));
    const take = objectsOf((object) => inflow.push(object));
    let printed = "";
    child.stdout.setEncoding("utf8").on("data", take);
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
    child.on("error", (error) => inflow.end(error));
    child.on("close", (status) => {
      running.delete(inflow);
      inflow.end(status === 0 ? endedSilently() : tool.readError(printed));
    });
    running.add(inflow);
    return inflow;
  };
  return {
    unary: (call) => start(call).next(),
    stream: start,
    close() {
      for (const inflow of running) inflow.cancel();
    },
  };
}

/** Parses printed objects chunk by chunk; the last line of each object is a closing brace of its own. */
function objectsOf(push: (object: JsonValue) => void): (text: string) => void {
  let rest = "";
  return (text) => {
    rest += text;
    for (let end = /^(\{.*)?\}\n/m.exec(rest); end; end = /^(\{.*)?\}\n/m.exec(rest)) {
      const length = end.index + end[0].length;
      push(JSON.parse(rest.slice(0, length)) as JsonValue);
      rest = rest.slice(length);
    }
  };
}
