import { Child } from "./child.ts";
import type { Load, Loaded, Pace } from "./drivers/callers.ts";
import { Histogram } from "./histogram.ts";

/** A run of calls, and why it does not count, if so. */
export interface CallRun {
  readonly perSecond: number;
  /** From the call to its answer. */
  readonly times: Histogram;
  readonly invalid?: string;
}

/** Of a core: a driver that is busier than this measures itself. */
const saturated = 0.9;
/** What takes so much longer than planned was disturbed, or could not keep up. */
const beyondPlan = 1.25;
/** Starting to wait and the last answers take some. */
const slackMs = 200;

/** A process that calls a server. */
export class Callers implements AsyncDisposable {
  readonly #driver = new Child("drivers/callers.ts");

  /** From each connection as fast as the server answers. */
  async load(spec: Omit<Load, "requests"> & { requests: readonly Buffer[] }): Promise<CallRun> {
    const loaded = await this.#driver.ask<Loaded>("load", encode(spec));
    // What is under way at the end is waited for.
    return toRun(loaded, spec.milliseconds, new Histogram(loaded.times).percentile(0.999));
  }

  /** At a steady rate, with the time of publishing in each message; `connections` bounds what is under way. */
  async pace(spec: Omit<Pace, "requests"> & { requests: readonly Buffer[] }): Promise<CallRun> {
    return toRun(await this.#driver.ask<Loaded>("pace", encode(spec)), spec.milliseconds, 0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#driver[Symbol.asyncDispose]();
  }
}

function encode(spec: { requests: readonly Buffer[] }): unknown {
  return { ...spec, requests: spec.requests.map((request) => request.toString("base64")) };
}

function toRun({ calls, seconds, times, busy }: Loaded, planned: number, longest: number): CallRun {
  const run = { perSecond: calls / seconds, times: new Histogram(times) };
  if (busy > saturated) return { ...run, invalid: `driver saturated (${Math.round(busy * 100)} % of a core)` };
  const elapsed = seconds * 1000;
  if (elapsed <= planned * beyondPlan + longest + slackMs) return run;
  return { ...run, invalid: `took ${Math.round(elapsed)} ms instead of ${planned}` };
}
