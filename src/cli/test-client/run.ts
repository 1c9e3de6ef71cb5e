/** Runs scenarios against a program, some at the same time, and reports each. */
import { Failed, type Scenario, Stage, Unsupported } from "./stage.ts";

/** The verdict on one scenario. */
export interface Verdict {
  readonly scenario: Scenario;
  readonly status: "ok" | "failed" | "unsupported";
  /** The expectation and the observation, or the command that the program does not know; empty when it passed. */
  readonly sentence: string;
  /** The last lines of the program; empty unless it failed. */
  readonly trace: readonly string[];
  readonly seconds: number;
}

/** How to run. */
export interface RunOptions {
  /** The program and its arguments. */
  readonly command: readonly string[];
  /** The most programs that run at the same time. */
  readonly parallel: number;
  /** The longest wait for one step of the client, in ms. */
  readonly deadlineMs: number;
  /** Called with each verdict, in the order of the scenarios. */
  readonly report: (verdict: Verdict) => void;
  /** Aborted to end early. */
  readonly signal?: AbortSignal;
}

/** Runs scenarios, and returns their verdicts in the same order. */
export async function runScenarios(scenarios: readonly Scenario[], options: RunOptions): Promise<Verdict[]> {
  const verdicts: (Verdict | undefined)[] = scenarios.map(() => undefined);
  const waiting = [...scenarios.keys()].sort((a, b) => slowness(scenarios[b]) - slowness(scenarios[a]));
  let reported = 0;
  const work = async () => {
    while (options.signal?.aborted !== true) {
      const index = waiting.shift();
      if (index === undefined) return;
      verdicts[index] = await runScenario(scenarios[index] as Scenario, options);
      for (let verdict = verdicts[reported]; verdict; verdict = verdicts[++reported]) options.report(verdict);
    }
  };
  await Promise.all(Array.from({ length: options.parallel }, work));
  return verdicts.filter((verdict) => verdict !== undefined);
}

function slowness(scenario: Scenario | undefined): number {
  return scenario?.slow ? 1 : 0;
}

async function runScenario(scenario: Scenario, { command, deadlineMs, signal }: RunOptions): Promise<Verdict> {
  const start = performance.now();
  const stage = await Stage.start(command, deadlineMs);
  const abort = () => void stage.stop();
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();
  try {
    await scenario.run(stage);
    stage.requireSound();
    await stage.finish();
    stage.requireSound();
    return { scenario, status: "ok", sentence: "", trace: [], seconds: secondsSince(start) };
  } catch (error) {
    if (!(error instanceof Failed || error instanceof Unsupported)) throw error;
    const status = error instanceof Unsupported ? "unsupported" : "failed";
    return { scenario, status, sentence: error.message, trace: stage.trace, seconds: secondsSince(start) };
  } finally {
    signal?.removeEventListener("abort", abort);
    await stage.stop();
  }
}

function secondsSince(start: number): number {
  return Math.round((performance.now() - start) / 10) / 100;
}
