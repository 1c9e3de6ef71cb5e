/** Counts the messages of a run, and reports them: progress and failures on stderr, outcomes on stdout. */
import type { PublishResponse } from "../../../gen/tidings/v1/push_service_pb.ts";
import { type Printer, printable } from "../output/printer.ts";
import type { Item } from "./batches.ts";
import type { Failure } from "./sender.ts";

/** The interval of the status of a terminal, and of lines of progress elsewhere, in ms. */
const statusMs = 200;
const progressMs = 10_000;

/** The report of one run. */
export class Report {
  readonly #print: Printer;
  readonly #json: boolean;
  readonly #now: () => number;
  readonly #startedAt: number;
  #shownAt: number;
  #notedAt: number;
  /** Messages that this run has published. */
  published = 0;
  /** Messages that were published before. */
  repeated = 0;
  /** Lines that were refused. */
  failed = 0;

  /** `now` is in ms. */
  constructor(print: Printer, json: boolean, now: () => number) {
    this.#print = print;
    this.#json = json;
    this.#now = now;
    this.#startedAt = now();
    this.#shownAt = this.#startedAt;
    this.#notedAt = this.#startedAt;
  }

  /** A line is published. */
  succeed({ line, request }: Item, { messageId, duplicate }: PublishResponse): void {
    if (duplicate) this.repeated += 1;
    else this.published += 1;
    if (this.#json) this.#print.json({ line, requestId: request?.requestId, messageId, duplicate });
  }

  /** A line is refused. */
  fail({ line, request }: Item, { code, reason, message }: Failure): void {
    this.failed += 1;
    if (this.#json) {
      const error = { code, ...(reason !== "" && { reason }), message };
      this.#print.json({ line, ...(request && { requestId: request.requestId }), error });
    }
    const label = request === undefined ? "" : `${code}${reason === "" ? "" : ` ${reason}`}: `;
    this.#print.note(`line ${line}: ${label}${printable(message)}`);
  }

  /** Shows the progress from time to time. `share`: the part of the input that is done; undefined where it is not known. */
  progress(share: number | undefined): void {
    const now = this.#now();
    if (now - this.#shownAt >= statusMs) {
      this.#shownAt = now;
      if (this.#print.status(this.#text(share))) this.#notedAt = now;
    }
    if (now - this.#notedAt < progressMs) return;
    this.#notedAt = now;
    this.#print.note(this.#text(share));
  }

  /** The last line: a result, unless stdout has the outcomes. */
  end(): void {
    if (this.#json) this.#print.note(this.#text(undefined));
    else this.#print.line(this.#text(undefined));
  }

  #text(share: number | undefined): string {
    const seconds = (this.#now() - this.#startedAt) / 1_000;
    const rate = seconds > 0 ? `, ${Math.round((this.published + this.repeated) / seconds)} a second` : "";
    return [
      share === undefined ? "" : `${Math.floor(share * 100)} %: `,
      `published ${this.published}`,
      this.repeated === 0 ? "" : `, published before ${this.repeated}`,
      this.failed === 0 ? "" : `, failed ${this.failed}`,
      rate,
    ].join("");
  }
}
