/** Programs of the command line that print messages as JSON, one process per call. */
import { spawn } from "node:child_process";
import type { JsonValue } from "@bufbuild/protobuf";
import { root } from "../../support/run.ts";
import { type Call, type Driver, type EventStream, endedSilently, Inflow, type Traits } from "./driver.ts";

/** How to call a program. */
export interface Tool {
  readonly program: string;
  /** Its arguments for a call. */
  args(call: Call): readonly string[];
  /** The error that it printed. */
  readError(printed: string): Error;
}

/** A process that starts on a busy machine takes a while. */
export const processTraits: Traits = { deadlineMs: 1000, streamDetails: true };

/** Drives a program. */
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

/** Takes printed text piece by piece; each object ends with a line of its own. */
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
