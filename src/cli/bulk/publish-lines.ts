/** `tidings publish --file`: publishes the lines of a file or a pipe. */
import type { Context } from "../command.ts";
import { audienceOf, draftOf, givenAudiences } from "../config/publish-flags.ts";
import { flagName } from "../config/settings.ts";
import { UsageError } from "../config/usage-error.ts";
import { printable } from "../output/printer.ts";
import { listenToSignals } from "../process/signals.ts";
import { pushClient } from "../service-client.ts";
import { batchesOf, maxItems } from "./batches.ts";
import { nameRun, openInput } from "./input.ts";
import { LineRequests } from "./line-requests.ts";
import { type Line, readLines } from "./lines.ts";
import { Report } from "./report.ts";
import { Sender } from "./sender.ts";

/** A rate applies to each part of a second that is this long, in seconds. */
const rateSlice = 0.25;

/**
 * Publishes the lines of --file in batches. Returns 0 when every line is published, and 1 when a line was refused or a
 * signal ended the run; then stderr says how to go on.
 */
export async function publishLines(context: Context, path: string): Promise<number> {
  const { values, io, deps, print } = context;
  const { fromLine = 1 } = values;
  for (const name of ["requestId", "replace"] as const) {
    if (values[name])
      throw new UsageError(`--${flagName(name)} is for one message; write it into the lines`, "publish");
  }
  const client = pushClient(context, "publish");
  const defaults = {
    audience: givenAudiences(values).length === 0 ? undefined : audienceOf(values),
    draft: draftOf(values),
    tenantId: values.tenantId ?? "",
  };
  const input = openInput(path, io);
  const run = values.run ?? (await nameRun(input, defaults));
  if (values.run === undefined && input.size === undefined) print.note(`the name of this run is ${run}`);
  const report = new Report(print, values.json, deps.now);
  const stop = new AbortController();
  const abort = new AbortController();
  const signals = listenToSignals(io, deps.now);
  void signals.first.then(() => stop.abort());
  void signals.second.then(() => abort.abort());
  const sender = new Sender({
    client,
    hooks: {
      published: (item, response) => report.succeed(item, response),
      failed: (item, failure) => report.fail(item, failure),
      waiting: ({ code, message }) => print.note(`${code}: ${printable(message)}; retrying`),
    },
    deps,
    rate: values.rate,
    stop: stop.signal,
    abort: abort.signal,
  });
  /** The first line that is not settled. */
  let next = fromLine;
  const requests = new LineRequests(defaults, run);
  const limit = values.rate === undefined ? maxItems : Math.min(maxItems, Math.ceil(values.rate * rateSlice));
  try {
    for await (const lines of until(stop.signal, readLines(input.open()))) {
      const wanted = lines.filter(({ number }) => number >= fromLine);
      for (const { items, end } of batchesOf(wanted, requests, limit)) {
        next = items[0]?.line ?? next;
        const [open] = await sender.send(items);
        report.progress(input.size === undefined ? undefined : end / input.size);
        next = open?.line ?? (items.at(-1)?.line ?? 0) + 1;
        if (stop.signal.aborted) break;
      }
      if (stop.signal.aborted) break;
    }
  } catch (error) {
    report.end();
    print.note(resumption(next, run));
    throw error;
  } finally {
    signals.forget();
  }
  report.end();
  if (stop.signal.aborted) print.note(resumption(next, run));
  else if (report.failed > 0) {
    print.note(
      `after correcting the lines that failed, run the command again with --run ${run}: it publishes the others once`,
    );
  }
  return report.failed > 0 || stop.signal.aborted ? 1 : 0;
}

function resumption(line: number, run: string): string {
  return `stopped before line ${line}; to go on, run the command again with --run ${run} --from-line ${line}`;
}

/** The groups of lines until the signal, even while the input is silent. */
async function* until(stop: AbortSignal, groups: AsyncGenerator<readonly Line[]>): AsyncGenerator<readonly Line[]> {
  while (!stop.aborted) {
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<readonly Line[]>>();
    // Promise.race would leave a reaction for each group, with its lines, at a promise of the stop.
    const end = () => resolve({ done: true, value: undefined });
    stop.addEventListener("abort", end);
    groups.next().then(resolve, reject);
    try {
      const next = await promise;
      if (next.done) return;
      yield next.value;
    } finally {
      stop.removeEventListener("abort", end);
    }
  }
}
