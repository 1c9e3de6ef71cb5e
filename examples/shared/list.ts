/** A list of messages on a page, newest first and each once, in any order of arrival: ids sort by publish time. */
import type { Message } from "tidings-client";

/** Fills a list element with one item per message. */
export class MessageList {
  readonly #list: HTMLElement;
  readonly #build: (message: Message) => HTMLElement;
  readonly #items = new Map<string, HTMLElement>();

  constructor(list: HTMLElement, build: (message: Message) => HTMLElement) {
    this.#list = list;
    this.#build = build;
  }

  /** The number of messages shown. */
  get size(): number {
    return this.#items.size;
  }

  /** Adds a message, unless it is shown already. */
  add(message: Message): void {
    if (this.#items.has(message.id)) return;
    const item = this.#build(message);
    item.dataset.id = message.id;
    this.#items.set(message.id, item);
    const older = ([...this.#list.children] as HTMLElement[]).find(({ dataset }) => (dataset.id ?? "") < message.id);
    this.#list.insertBefore(item, older ?? null);
  }

  /** The item of a message; undefined if it is not shown. */
  get(id: string): HTMLElement | undefined {
    return this.#items.get(id);
  }

  /** Removes messages; ignores those that are not shown. */
  remove(ids: Iterable<string>): void {
    for (const id of [...ids]) {
      this.#items.get(id)?.remove();
      this.#items.delete(id);
    }
  }

  /** Shows these messages in place of all others. */
  reset(messages: readonly Message[]): void {
    this.remove(this.#items.keys());
    for (const message of messages) this.add(message);
  }

  /** Calls the function with each item. */
  each(call: (item: HTMLElement) => void): void {
    for (const item of this.#items.values()) call(item);
  }
}
