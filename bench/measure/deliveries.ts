import type { Subscribers } from "../drivers/subscribers.ts";
import { Figure } from "./figure.ts";
import { reasonOf, saturationOf } from "./invalid.ts";

/** Deliveries to repeat, and the processes that take part in them. */
export interface DeliveryWorkload {
  /** The CPU time of the server so far, in µs. */
  cpu(): Promise<number>;
  /** Sends messages, waits until all of them have arrived, and resolves with the number of deliveries. */
  iterate(): Promise<number>;
  readonly subscribers: Subscribers;
  /** Iterations are repeated for this time, in ms; there is at least one. */
  readonly durationMs: number;
}

/** The cost and the rate of one delivery. */
export interface DeliveryFigures {
  /** CPU time of the server, in µs. */
  readonly cost: Figure;
  /** Deliveries per second, with one iteration in flight at a time. */
  readonly rate: Figure;
}

/** Figures without values. */
export function newDeliveryFigures(): DeliveryFigures {
  return { cost: new Figure(), rate: new Figure() };
}

/** Repeats a workload for one round and adds the result to the figures. Resolves with how long that took, in ms. */
export async function measureDeliveries(
  { cpu, iterate, subscribers, durationMs }: DeliveryWorkload,
  figures: DeliveryFigures,
): Promise<number> {
  const reject = (reason: string): void => {
    figures.cost.reject(reason);
    figures.rate.reject(reason);
  };
  const start = performance.now();
  try {
    const driversBefore = await subscribers.cpu();
    const serverBefore = await cpu();
    const begin = performance.now();
    const durations: number[] = [];
    let deliveries = 0;
    for (let now = begin; now - begin < durationMs; ) {
      deliveries += await iterate();
      const end = performance.now();
      durations.push(end - now);
      now = end;
    }
    const elapsed = performance.now() - begin;
    const server = (await cpu()) - serverBefore;
    const drivers = (await subscribers.cpu()).map((after, index) => (after - (driversBefore[index] as number)) / 1000);
    const saturated = saturationOf(Math.max(...drivers) / elapsed);
    const median = durations.toSorted((a, b) => a - b)[durations.length >> 1] as number;
    if (saturated !== undefined) reject(saturated);
    else if (elapsed > 2 * (durationMs + median)) reject(`took ${Math.round(elapsed)} ms instead of ${durationMs}`);
    else {
      figures.cost.add(server / deliveries);
      figures.rate.add((deliveries / elapsed) * 1000);
    }
  } catch (error) {
    reject(reasonOf(error));
  }
  return performance.now() - start;
}
