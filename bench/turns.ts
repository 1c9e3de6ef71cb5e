import type { Figure } from "./figure.ts";
import type { Subscribers } from "./subscribers.ts";

/** Of a core: a driver that is busier than this measures itself. */
const saturated = 0.9;

/** What to repeat, and what it costs whom. */
export interface TurnSpec {
  /** The server's CPU time so far, in µs. */
  cpu(): Promise<number>;
  /** Sends something and answers with the number of deliveries when all have arrived. */
  turn(): Promise<number>;
  readonly subscribers: Subscribers;
  /** At least so long, and one turn. */
  readonly sliceMs: number;
}

/** Cost and rate of one delivery. */
export interface TurnFigures {
  /** Server CPU in µs. */
  readonly cost: Figure;
  /** Deliveries a second, with one turn under way at a time. */
  readonly rate: Figure;
}

/** Takes turns for a while and adds what one delivery cost to the figures. Answers how long it took, in ms. */
export async function measureTurns(
  { cpu, turn, subscribers, sliceMs }: TurnSpec,
  figures: TurnFigures,
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
    const lengths: number[] = [];
    let deliveries = 0;
    for (let now = begin; now - begin < sliceMs; ) {
      deliveries += await turn();
      const end = performance.now();
      lengths.push(end - now);
      now = end;
    }
    const elapsed = performance.now() - begin;
    const server = (await cpu()) - serverBefore;
    const drivers = (await subscribers.cpu()).map((after, index) => (after - (driversBefore[index] as number)) / 1000);
    const busiest = Math.max(...drivers) / elapsed;
    const usual = lengths.toSorted((a, b) => a - b)[lengths.length >> 1] as number;
    if (busiest > saturated) reject(`driver saturated (${Math.round(busiest * 100)} % of a core)`);
    else if (elapsed > 2 * (sliceMs + usual)) reject(`took ${Math.round(elapsed)} ms instead of ${sliceMs}`);
    else {
      figures.cost.add(server / deliveries);
      figures.rate.add((deliveries / elapsed) * 1000);
    }
  } catch (error) {
    reject((error as Error).message.split("\n", 1)[0] as string);
  }
  return performance.now() - start;
}
