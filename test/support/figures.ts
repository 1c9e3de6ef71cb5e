/** A strict parser of Prometheus' text format: it throws on any other line. */

/** One sample: a name, its labels and its value. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One scrape. */
export class Figures {
  readonly samples: readonly Sample[];
  /** The type of each metric, by name. */
  readonly types: ReadonlyMap<string, string>;

  constructor(text: string) {
    const lines = text.split("\n").filter((line) => line !== "");
    this.types = new Map(
      lines
        .map((line) => /^# TYPE (\S+) (\S+)$/.exec(line))
        .filter((match) => match !== null)
        .map(([, name = "", type = ""]) => [name, type]),
    );
    this.samples = lines.filter((line) => !line.startsWith("#")).map(parse);
  }

  /** The sum of the series with these labels; 0 without any yet. Throws for an unknown name. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const family = name.replace(/_(count|sum|bucket)$/, "");
    if (!this.types.has(name) && !this.types.has(family)) throw new Error(`there is no metric ${name}`);
    const found = this.samples.filter(
      (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    );
    return found.reduce((sum, sample) => sum + sample.value, 0);
  }
}

function parse(line: string): Sample {
  const [, name, list = "", value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  if (name === undefined) throw new Error(`not a sample: ${line}`);
  const labels = [...list.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, text]);
  return { name, labels: Object.fromEntries(labels), value: Number(value) };
}

/** Scrapes a server. */
export async function scrape(url: string | undefined): Promise<Figures> {
  if (url === undefined) throw new Error("the server was started without an address for its metrics");
  const answer = await fetch(url);
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}`);
  return new Figures(await answer.text());
}
