import { Child } from "./child.ts";
import type { OpenClients } from "./drivers/real-clients.ts";
import { Histogram } from "./histogram.ts";

/** What arrives later is lost. */
const patienceMs = 10_000;

/** A process with clients as applications use them. */
export class RealClients implements AsyncDisposable {
  readonly #child = new Child("drivers/real-clients.ts");

  /** Answers when all have caught up. */
  async open(spec: OpenClients): Promise<void> {
    await this.#child.ask("open", spec);
  }

  /** How old each message was when a client got it, since the last question. */
  async times(): Promise<Histogram> {
    return new Histogram(await this.#child.ask<number[]>("times"));
  }

  /** Waits until all clients together have so many messages since the start; says so when they do not come, or more do. */
  async missing(expected: number): Promise<string | undefined> {
    const end = performance.now() + patienceMs;
    let received = await this.#child.ask<number>("received");
    while (received < expected && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      received = await this.#child.ask<number>("received");
    }
    return received === expected ? undefined : `${received} messages instead of ${expected}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }
}
