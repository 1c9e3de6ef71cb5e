import { SeqSet } from "./seq-set.ts";

/** A message that a request changes. */
export interface Target {
  /** The name of its feed. */
  readonly feed: string;
  readonly seq: number;
  readonly id: string;
}

/** The messages that a request changes: any number of them, in little memory. */
export class Targets {
  readonly #maxIds: number;
  /** By the name of a feed. */
  readonly #seqs = new Map<string, SeqSet>();
  readonly #ids: string[] = [];
  #count = 0;

  /** Of more than `maxIds` messages, the ids are not of interest. */
  constructor(maxIds: number) {
    this.#maxIds = maxIds;
  }

  /** The number of messages. */
  get count(): number {
    return this.#count;
  }

  /** The ids of the messages; of more than `maxIds`, only some, but more than `maxIds`. */
  get ids(): readonly string[] {
    return this.#ids;
  }

  /** The seqs by feed. */
  get seqs(): ReadonlyMap<string, SeqSet> {
    return this.#seqs;
  }

  /** Adds a message that was not added before. Fastest in the order of seqs. */
  add({ feed, seq, id }: Target): void {
    const seqs = this.#seqs.get(feed) ?? SeqSet.from();
    this.#seqs.set(feed, seqs);
    seqs.addNew(seq);
    if (this.#count++ <= this.#maxIds) this.#ids.push(id);
  }
}
