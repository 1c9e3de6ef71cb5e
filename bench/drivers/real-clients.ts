import { Histogram } from "../measure/histogram.ts";
import { Child } from "../process/child.ts";
import type { OpenClients } from "./process/real-clients.ts";

/** A message that has not arrived after this time counts as lost. */
const lossTimeoutMs = 10_000;

/** A process with clients of `src/client`, as applications use them. */
export class RealClients implements AsyncDisposable {
  readonly #child = new Child("drivers/process/real-clients.ts");

  /** Opens clients and resolves when all of them have caught up. */
  async open(spec: OpenClients): Promise<void> {
    await this.#child.call("open", spec);
  }

  /** The latencies of the messages that have arrived since the previous call. */
  async times(): Promise<Histogram> {
    return new Histogram(await this.#child.call<number[]>("times"));
  }

  /**
   * Waits until all clients together have received this many messages since the start. Resolves with undefined, or with
   * the difference when messages are lost or duplicated.
   */
  async findLoss(expected: number): Promise<string | undefined> {
    const end = performance.now() + lossTimeoutMs;
    let received = await this.#child.call<number>("received");
    while (received < expected && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      received = await this.#child.call<number>("received");
    }
    return received === expected ? undefined : `${received} messages instead of ${expected}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }
}
