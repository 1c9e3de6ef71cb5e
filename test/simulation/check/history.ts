import type { Position } from "../../../src/client/events.ts";

/** A publish, as its caller saw it. All times are simulated, in ms. */
export interface PublishRecord {
  /** The request id, which is also the title of the message. */
  readonly key: string;
  /** The feed of the message, as the store names it. */
  readonly feed: string;
  readonly notification: boolean;
  /** The time of the first attempt. */
  readonly invoked: number;
  /** Set when an attempt was answered. */
  answered?: { readonly time: number; readonly id: string };
}

/** A message that a device received. */
export interface Delivery {
  readonly feed: string;
  readonly epoch: number;
  readonly seq: number;
  readonly id: string;
  readonly key: string;
}

/** A range of a feed that the server reported as a gap. */
export interface ReportedGap {
  readonly feed: string;
  readonly after: number;
  readonly to: number;
}

/** What one device saw. */
export interface DeviceRecord {
  readonly name: string;
  readonly tenant: string;
  readonly user: string;
  /** The position at which its first stream started, by the feed's name on the stream. */
  readonly start: Map<string, number>;
  /** In the order of arrival, without messages that it already had. */
  readonly delivered: Delivery[];
  readonly gaps: ReportedGap[];
  /** The number of unread messages that it counted. */
  badge: number | undefined;
  /** The last online count of the tenant that it received. */
  online: { readonly users: number; readonly connections: number } | undefined;
  positions: readonly Position[];
  /** It has a stream that has caught up. */
  live: boolean;
}

/** A change of a read state that a device requested. */
export interface MarkRecord {
  readonly tenant: string;
  readonly user: string;
  readonly do: "read" | "all" | "delete";
  /** The ids of "read" and "delete". */
  readonly ids: readonly string[];
  /** For "all": the positions up to which it marks, by the feed's name on the stream; undefined for everything. */
  readonly upTo: ReadonlyMap<string, number> | undefined;
  readonly invoked: number;
  /** The time after which it can have no more effect; Infinity while an attempt may still be in flight. */
  ended: number;
  answered: boolean;
}

/** A recall of a message. */
export interface RecallRecord {
  readonly id: string;
  answered: boolean;
}

/** Everything that the clients of one run did and saw, and a log of it. */
export class History {
  readonly publishes: PublishRecord[] = [];
  readonly devices: DeviceRecord[] = [];
  readonly marks: MarkRecord[] = [];
  readonly recalls: RecallRecord[] = [];
  /** Errors that must never happen, whatever fails. */
  readonly errors: string[] = [];
  readonly #lines: string[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Adds a line to the log. */
  log(line: string): void {
    this.#lines.push(`${this.#now().toFixed(1).padStart(9)}  ${line}`);
  }

  /** Adds an error that must never happen. */
  error(line: string): void {
    this.errors.push(line);
    this.log(`ERROR ${line}`);
  }

  /** The whole log. */
  get text(): string {
    return this.#lines.join("\n");
  }
}
