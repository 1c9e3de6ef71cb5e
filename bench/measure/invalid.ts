/** Reasons why a round does not count. */

/** A driver that uses more than this fraction of a core measures itself rather than the server. */
const saturation = 0.9;

/** The reason when a driver was saturated, undefined when it was not. `busy`: the fraction of a core that it used. */
export function saturationOf(busy: number): string | undefined {
  return busy > saturation ? `driver saturated (${Math.round(busy * 100)} % of a core)` : undefined;
}

/** The first line of an error's message, as the reason. */
export function reasonOf(error: unknown): string {
  return (error as Error).message.split("\n", 1)[0] as string;
}
