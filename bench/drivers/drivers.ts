import { Callers } from "./callers.ts";
import { Subscribers } from "./subscribers.ts";

/** The processes that load servers. They start once for a whole run, because a start takes longer than many measurements. */
export class Drivers implements AsyncDisposable {
  readonly subscribers = new Subscribers();
  readonly callers = new Callers();
  /** A second process, for small calls that must not queue behind large ones. */
  readonly otherCallers = new Callers();

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [this.subscribers, this.callers, this.otherCallers];
    await Promise.all(all.map((driver) => driver[Symbol.asyncDispose]()));
  }
}
