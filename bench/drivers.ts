import { Callers } from "./callers.ts";
import { Subscribers } from "./subscribers.ts";

/** The processes that make load; started once, since a start costs more than many a measurement. */
export class Drivers implements AsyncDisposable {
  readonly subscribers = new Subscribers();
  readonly callers = new Callers();
  /** For what must not wait behind large messages. */
  readonly otherCallers = new Callers();

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [this.subscribers, this.callers, this.otherCallers];
    await Promise.all(all.map((driver) => driver[Symbol.asyncDispose]()));
  }
}
