/** A list of messages on a page, newest first and each once, whatever came first: ids sort by time of publishing. */
import type { Message } from "tidings/client";

/** Fills a `ul` with one item per message. */
export class MessageList {
  readonly #list: HTMLElement;
  readonly #build: (message: Message) => HTMLElement;
  readonly #items = new Map<string, HTMLElement>();

  constructor(list: HTMLElement, build: (message: Message) => HTMLElement) {
    this.#list = list;
    this.#build = build;
  }

  /** How many messages are shown. */
  get size(): number {
    return this.#items.size;
  }

  /** Shows a message, once. */
  add(message: Message): void {
    if (this.#items.has(message.id)) return;
    const item = this.#build(message);
    item.dataset.id = message.id;
    this.#items.set(message.id, item);
    const older = ([...this.#list.children] as HTMLElement[]).find(({ dataset }) => (dataset.id ?? "") < message.id);
    this.#list.insertBefore(item, older ?? null);
  }

  /** The item of a message. */
  get(id: string): HTMLElement | undefined {
    return this.#items.get(id);
  }

  /** Takes messages off the list; those that are not on it change nothing. */
  remove(ids: Iterable<string>): void {
    for (const id of [...ids]) {
      this.#items.get(id)?.remove();
      this.#items.delete(id);
    }
  }

  /** Shows just these messages. */
  reset(messages: readonly Message[]): void {
    this.remove(this.#items.keys());
    for (const message of messages) this.add(message);
  }

  /** Calls back on each item. */
  each(call: (item: HTMLElement) => void): void {
    for (const item of this.#items.values()) call(item);
  }
}
