import { Histogram } from "../measure/histogram.ts";
import { saturationOf } from "../measure/invalid.ts";
import { Child } from "../process/child.ts";
import type { CallResult, ClosedLoop, OpenLoop } from "./process/callers.ts";

/** The result of many calls. */
export interface CallRun {
  readonly calls: number;
  readonly perSecond: number;
  /** Times from the call to its response. */
  readonly times: Histogram;
  /** The reason why the run does not count; undefined when it does. */
  readonly invalid?: string;
}

/** A run that takes longer than planned by this factor was disturbed, or its server could not keep up. */
const maxOverrun = 1.25;
/** Time to open connections and to wait for the last responses, in ms. */
const slackMs = 200;

/** A process that calls a server. */
export class Callers implements AsyncDisposable {
  readonly #driver = new Child("drivers/process/callers.ts");

  /** Closed loop: each connection sends its next call as soon as the previous one is answered. */
  async closedLoop(spec: Omit<ClosedLoop, "requests"> & { requests: readonly Buffer[] }): Promise<CallRun> {
    const result = await this.#driver.call<CallResult>("closedLoop", encode(spec));
    // Calls in flight at the end are waited for.
    return toRun(result, spec.durationMs, new Histogram(result.times).percentile(0.999));
  }

  /**
   * Open loop: calls start at a steady rate, however fast the server is, and each message carries the time at which it was
   * due. `connections` limits the calls in flight.
   */
  async openLoop(spec: Omit<OpenLoop, "requests"> & { requests: readonly Buffer[] }): Promise<CallRun> {
    return toRun(await this.#driver.call<CallResult>("openLoop", encode(spec)), spec.durationMs, 0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#driver[Symbol.asyncDispose]();
  }
}

function encode(spec: { requests: readonly Buffer[] }): unknown {
  return { ...spec, requests: spec.requests.map((request) => request.toString("base64")) };
}

function toRun({ calls, seconds, times, busy }: CallResult, plannedMs: number, longestMs: number): CallRun {
  const run = { calls, perSecond: calls / seconds, times: new Histogram(times) };
  const saturated = saturationOf(busy);
  if (saturated !== undefined) return { ...run, invalid: saturated };
  const elapsed = seconds * 1000;
  if (elapsed <= plannedMs * maxOverrun + longestMs + slackMs) return run;
  return { ...run, invalid: `took ${Math.round(elapsed)} ms instead of ${plannedMs}` };
}
