import type { Position } from "../../src/client/events.ts";

/** A publish as its caller saw it. Times are those of the simulated world. */
export interface PublishRecord {
  /** The request id, and the title of the message. */
  readonly key: string;
  /** The feed that it is for, as the store names it. */
  readonly feed: string;
  readonly notification: boolean;
  /** When it was first sent. */
  readonly invoked: number;
  /** Set once it was answered. */
  answered?: { readonly time: number; readonly id: string };
}

/** A message as a device took it. */
export interface Delivered {
  readonly feed: string;
  readonly epoch: number;
  readonly seq: number;
  readonly id: string;
  readonly key: string;
}

/** A stretch that a device was told it will not get. */
export interface ToldGap {
  readonly feed: string;
  readonly from: number;
  readonly to: number;
}

/** All that one device saw and did. */
export interface DeviceRecord {
  readonly name: string;
  readonly tenant: string;
  readonly user: string;
  /** Where its first stream began, by the feed's name on the stream. */
  readonly start: Map<string, number>;
  /** In the order of arrival, without those that it knew already. */
  readonly delivered: Delivered[];
  readonly gaps: ToldGap[];
  /** The totals that it has counted itself to. */
  badge: number | undefined;
  /** The tenant's online count, as last told. */
  online: { readonly users: number; readonly connections: number } | undefined;
  positions: readonly Position[];
  /** It has a stream that is through with what was missed. */
  live: boolean;
}

/** A change of a read state, as a device asked for it. */
export interface MarkRecord {
  readonly tenant: string;
  readonly user: string;
  readonly do: "read" | "all" | "delete";
  /** Ids that it names. */
  readonly ids: readonly string[];
  /** Of "all": up to where, by the feed's name on the stream; undefined for everything. */
  readonly upTo: ReadonlyMap<string, number> | undefined;
  readonly invoked: number;
  /** From when on it can have no effect; Infinity when an attempt may be under way for ever. */
  ended: number;
  answered: boolean;
}

/** A message that was taken back, or may have been. */
export interface RecallRecord {
  readonly id: string;
  answered: boolean;
}

/** What the clients of one seed did and saw, with the lines of its story. */
export class History {
  readonly publishes: PublishRecord[] = [];
  readonly devices: DeviceRecord[] = [];
  readonly marks: MarkRecord[] = [];
  readonly recalls: RecallRecord[] = [];
  /** What went wrong at once. */
  readonly alarms: string[] = [];
  readonly #lines: string[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Adds a line to the story. */
  tell(line: string): void {
    this.#lines.push(`${this.#now().toFixed(1).padStart(9)}  ${line}`);
  }

  /** Something that must never happen. */
  alarm(line: string): void {
    this.alarms.push(line);
    this.tell(`ALARM ${line}`);
  }

  /** The story, a line per event. */
  get text(): string {
    return this.#lines.join("\n");
  }
}
