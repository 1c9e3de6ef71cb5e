/** A question, and who waits for its answer. */
interface Question<T> {
  readonly items: readonly string[];
  readonly resolve: (answers: readonly T[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Makes one question of all that are asked about one subject in a turn of the event loop; none waits any longer. */
export class Gather<T> {
  readonly #ask: (subject: string, items: readonly string[]) => Promise<readonly T[]>;
  #subjects = new Map<string, Question<T>[]>();

  /** `ask` answers with as many as there are items, in their order; it may reject, and then rejects all. */
  constructor(ask: (subject: string, items: readonly string[]) => Promise<readonly T[]>) {
    this.#ask = ask;
  }

  /** One answer for each item, in their order. */
  ask(subject: string, items: readonly string[]): Promise<readonly T[]> {
    return new Promise((resolve, reject) => {
      const questions = this.#subjects.get(subject) ?? [];
      questions.push({ items, resolve, reject });
      if (this.#subjects.set(subject, questions).size === 1 && questions.length === 1)
        setImmediate(() => this.#flush());
    });
  }

  #flush(): void {
    const subjects = this.#subjects;
    this.#subjects = new Map();
    for (const [subject, questions] of subjects) void this.#askTogether(subject, questions);
  }

  async #askTogether(subject: string, questions: readonly Question<T>[]): Promise<void> {
    try {
      const answers = await this.#ask(
        subject,
        questions.flatMap(({ items }) => items),
      );
      let from = 0;
      for (const { items, resolve } of questions) {
        resolve(answers.slice(from, from + items.length));
        from += items.length;
      }
    } catch (error) {
      for (const { reject } of questions) reject(error);
    }
  }
}
