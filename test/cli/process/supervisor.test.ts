import { describe, expect, test, vi } from "vitest";
import { healthyMs, maxYoungDeaths, restartMs } from "../../../src/cli/process/supervisor.ts";
import type { WorkerProcess } from "../../../src/cli/process/worker-process.ts";
import type { Address } from "../../../src/http/listener.ts";
import { FakeClock } from "../../support/clock.ts";
import { secret, start } from "../harness.ts";

const address: Address = { host: "127.0.0.1", port: 7300, url: "http://127.0.0.1:7300" };

/** A process that the test controls. */
class FakeWorker implements WorkerProcess {
  readonly pid: number;
  readonly #ready = Promise.withResolvers<Address>();
  readonly #exited = Promise.withResolvers<number | undefined>();
  readonly ready = this.#ready.promise;
  readonly exited = this.#exited.promise;
  drained = 0;
  reloaded = 0;
  killed = 0;
  error: Error | undefined;

  constructor(pid: number) {
    this.pid = pid;
  }

  serve(): void {
    this.#ready.resolve(address);
  }

  end(code?: number): void {
    this.#exited.resolve(code);
  }

  drain(): void {
    this.drained++;
  }

  reload(): void {
    this.reloaded++;
  }

  kill(): void {
    this.killed++;
  }
}

function build(count = 3) {
  const clock = new FakeClock();
  const workers: FakeWorker[] = [];
  const nodes = ["--store", "mongodb://db/tidings", "--bus", "redis://cache"];
  const running = start(
    ["serve", "--workers", String(count), ...nodes],
    { TIDINGS_JWT_SECRET: secret },
    {
      startWorker: () => {
        const worker = new FakeWorker(workers.length + 1);
        workers.push(worker);
        return worker;
      },
      now: () => clock.now(),
      after: (milliseconds, call) => {
        const timer = clock.after(milliseconds, call);
        return () => timer.cancel();
      },
    },
  );
  const started = (expected: number) => vi.waitFor(() => expect(workers).toHaveLength(expected));
  /** Waits until all workers are started and ready. */
  const serving = async () => {
    await started(1);
    workers[0]?.serve();
    await started(count);
    for (const worker of workers) worker.serve();
    await vi.waitFor(() => expect(running.stdout()).not.toBe(""));
  };
  return { clock, workers, running, started, serving };
}

describe("The supervisor", () => {
  test("starts the other workers when the first one is ready, and reports ready when all are", async () => {
    const { workers, running, started } = build();
    await started(1);
    workers[0]?.serve();
    await started(3);
    workers[1]?.serve();
    await new Promise(setImmediate);
    expect(running.stdout()).toBe("");
    workers[2]?.serve();
    await vi.waitFor(() => expect(running.stdout()).not.toBe(""));
    expect(JSON.parse(running.stdout())).toEqual({
      address: address.url,
      host: "127.0.0.1",
      port: 7300,
      pid: process.pid,
      workers: 3,
    });
    running.signal();
    for (const worker of workers) worker.end(0);
    expect(await running.code).toBe(0);
    expect(running.stdout()).toMatch(/^[^\n]+\n$/);
  });

  test("ends with the exit code of the first worker when that one cannot start", async () => {
    const { workers, running, started } = build();
    await started(1);
    workers[0]?.end(2);
    expect(await running.code).toBe(2);
    expect(workers).toHaveLength(1);
  });

  test("drains all workers at a signal, and ends with 1 when one of them failed", async () => {
    const { workers, running, serving } = build();
    await serving();
    running.signal();
    await vi.waitFor(() => expect(workers.map(({ drained }) => drained)).toEqual([1, 1, 1]));
    workers[0]?.end(0);
    workers[1]?.end(1);
    workers[2]?.end(0);
    expect(await running.code).toBe(1);
    expect(workers).toHaveLength(3);
  });

  test("kills the workers that still drain at a second signal", async () => {
    const { clock, workers, running, serving } = build();
    await serving();
    running.signal();
    await vi.waitFor(() => expect(workers[0]?.drained).toBe(1));
    workers[0]?.end(0);
    clock.set(clock.now() + 1_000);
    running.signal();
    expect(await running.code).toBe(1);
    expect(workers.map(({ killed }) => killed)).toEqual([0, 1, 1]);
  });

  test("replaces a healthy worker at once, and one that died young after a delay that doubles", async () => {
    const { clock, workers, running, started, serving } = build();
    await serving();
    await clock.advance(healthyMs);
    workers[1]?.end(undefined);
    await started(4);
    workers[3]?.end(1);
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    await clock.advance(restartMs - 1);
    expect(workers).toHaveLength(4);
    await clock.advance(1);
    await started(5);
    workers[4]?.end(1);
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    await clock.advance(2 * restartMs - 1);
    expect(workers).toHaveLength(5);
    await clock.advance(1);
    await started(6);
    // A healthy life resets the delay.
    await clock.advance(healthyMs);
    workers[5]?.end(1);
    await started(7);
    expect(workers.map(({ drained }) => drained).every((drained) => drained === 0)).toBe(true);
    running.signal();
    for (const worker of workers) worker.end(0);
    expect(await running.code).toBe(0);
  });

  test("gives up when workers keep dying: it drains the others and ends with 1", async () => {
    const { clock, workers, running, started, serving } = build(2);
    await serving();
    for (let death = 0; death <= maxYoungDeaths; death++) {
      workers.at(-1)?.end(1);
      if (death === maxYoungDeaths) break;
      await vi.waitFor(() => expect(clock.pending).toBe(1));
      await clock.advance(restartMs * 2 ** death);
      await started(3 + death);
    }
    await vi.waitFor(() => expect(workers[0]?.drained).toBe(1));
    workers[0]?.end(0);
    expect(await running.code).toBe(1);
    expect(workers).toHaveLength(2 + maxYoungDeaths);
  });

  test("does not wait for a replacement after a signal", async () => {
    const { clock, workers, running, serving } = build(2);
    await serving();
    workers[1]?.end(1);
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    running.signal();
    workers[0]?.end(0);
    expect(await running.code).toBe(0);
    expect(clock.pending).toBe(0);
  });
});

describe("The supervisor of threads", () => {
  /** Threads that the test controls, and what they share. */
  function buildThreads(count = 3, open: () => Promise<void> = async () => {}) {
    const clock = new FakeClock();
    const workers: FakeWorker[] = [];
    const failure = Promise.withResolvers<Error>();
    const calls: string[] = [];
    const running = start(
      ["serve", "--workers", String(count)],
      { TIDINGS_JWT_SECRET: secret },
      {
        createThreads: async (_values, given) => ({
          kind: "thread",
          count: given,
          metricsUrl: undefined,
          failed: failure.promise,
          open,
          start(index) {
            const worker = new FakeWorker(index);
            workers.push(worker);
            return worker;
          },
          reload: () => void calls.push("reload"),
          close: async () => void calls.push("close"),
        }),
        now: () => clock.now(),
      },
    );
    const started = (expected: number) => vi.waitFor(() => expect(workers).toHaveLength(expected));
    return { clock, workers, failure, calls, running, started };
  }

  test("starts all threads at once, and closes what they share after the last of them", async () => {
    const { workers, calls, running, started } = buildThreads();
    await started(3);
    for (const worker of workers) worker.serve();
    await vi.waitFor(() => expect(running.stdout()).toContain('"workers":3'));
    expect(running.hangUp()).toBe(true);
    expect(calls).toEqual(["reload"]);
    expect(workers.map(({ reloaded }) => reloaded)).toEqual([1, 1, 1]);
    running.signal();
    workers[0]?.end(0);
    workers[1]?.end(0);
    await new Promise(setImmediate);
    expect(calls).toEqual(["reload"]);
    workers[2]?.end(0);
    expect(await running.code).toBe(0);
    expect(calls).toEqual(["reload", "close"]);
  });

  test("reports why what they share cannot be opened, and starts no thread", async () => {
    const { workers, calls, running } = buildThreads(2, () => Promise.reject(new Error("the folder is in use")));
    expect(await running.code).toBe(1);
    expect(running.stderr()).toBe("error: the folder is in use\n");
    expect({ workers, calls }).toEqual({ workers: [], calls: [] });
  });

  test("starts no thread after a signal while it opens what they share, which it closes", async () => {
    const opening = Promise.withResolvers<void>();
    const { workers, calls, running } = buildThreads(2, () => opening.promise);
    await vi.waitFor(() => expect(running.signal()).toBe(true));
    opening.resolve();
    expect(await running.code).toBe(0);
    expect({ workers, calls }).toEqual({ workers: [], calls: ["close"] });
  });

  test("reports the error of a thread that cannot start, and ends the others", async () => {
    const { workers, calls, running, started } = buildThreads(2);
    await started(2);
    const [, second] = workers as [FakeWorker, FakeWorker];
    second.error = new Error("retention.days: must be a number of at least 1");
    second.end(1);
    expect(await running.code).toBe(1);
    expect(running.stderr()).toBe("error: retention.days: must be a number of at least 1\n");
    expect(workers.map(({ killed }) => killed)).toEqual([1, 0]);
    expect(calls).toEqual(["close"]);
  });

  test("drains all threads when what they share has failed, and says why", async () => {
    const { workers, failure, running, started } = buildThreads(2);
    await started(2);
    for (const worker of workers) worker.serve();
    await vi.waitFor(() => expect(running.stdout()).not.toBe(""));
    failure.resolve(new Error("the store's thread died 6 times within a minute"));
    await vi.waitFor(() => expect(workers.map(({ drained }) => drained)).toEqual([1, 1]));
    for (const worker of workers) worker.end(0);
    expect(await running.code).toBe(1);
    expect(running.stderr()).toBe("error: the store's thread died 6 times within a minute\n");
  });
});
