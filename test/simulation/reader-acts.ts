import { create } from "@bufbuild/protobuf";
import { DeleteMessagesRequestSchema, MarkReadRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import type { Core } from "../../src/core/core.ts";
import { userOf } from "../support/core.ts";
import { type Caller, isExpected, nameOf } from "./caller.ts";
import type { Device } from "./device.ts";
import type { Dice } from "./dice.ts";
import type { History, MarkRecord } from "./history.ts";
import type { Scheduler } from "./scheduler.ts";

const timeoutMs = 6_000;

/** What the users do with what they received, on any of their devices and through any node. */
export class ReaderActs {
  readonly #scheduler: Scheduler;
  readonly #dice: Dice;
  readonly #caller: Caller;
  readonly #history: History;

  constructor(scheduler: Scheduler, dice: Dice, caller: Caller, history: History) {
    this.#scheduler = scheduler;
    this.#dice = dice;
    this.#caller = caller;
    this.#history = history;
  }

  /** Marks or deletes something. */
  async act(device: Device): Promise<void> {
    const { tenant, user, delivered, positions } = device.record;
    const chosen = this.#dice.pick(["read", "read", "all", "all", "delete"] as const);
    const ids = chosen === "all" || delivered.length === 0 ? [] : this.#some(delivered.map(({ id }) => id));
    if (chosen !== "all" && ids.length === 0) return;
    const inbox = positions.filter(({ feed }) => feed !== "activity");
    const upTo = chosen === "all" && inbox.length > 0 && this.#dice.chance(0.5) ? inbox : undefined;
    const mark: MarkRecord = {
      tenant,
      user,
      do: chosen,
      ids,
      upTo: upTo && new Map(upTo.map(({ feed, seq }) => [feed, Number(seq)])),
      invoked: this.#scheduler.now,
      ended: Number.POSITIVE_INFINITY,
      answered: false,
    };
    this.#history.marks.push(mark);
    const identity = userOf(tenant, user);
    const what = `${device.record.name} ${chosen} ${ids.length}${upTo ? " up to its positions" : ""}`;
    const { answer, attempts } = await this.#try(what, async (core) => {
      const { inbox } = core.context;
      if (chosen === "delete") {
        return inbox.delete(identity, create(DeleteMessagesRequestSchema, { ids: { messageIds: [...ids] } }));
      }
      const target =
        chosen === "all"
          ? { case: "all" as const, value: true }
          : { case: "ids" as const, value: { messageIds: [...ids] } };
      return inbox.mark(identity, create(MarkReadRequestSchema, { target, ...(upTo ? { upTo } : {}) }));
    });
    mark.answered = answer !== undefined;
    // An attempt that was not answered may be under way still.
    if (answer && attempts === 1) mark.ended = this.#scheduler.now;
    if (answer) device.answer(answer.unread);
  }

  /** A backend takes a message back. */
  async recall(tenant: string): Promise<void> {
    const prefix = `${tenant}\n`;
    const known = this.#history.publishes.filter(({ answered, feed }) => answered && feed.startsWith(prefix));
    if (known.length === 0) return;
    const id = this.#dice.pick(known).answered?.id ?? "";
    const record = { id, answered: false };
    this.#history.recalls.push(record);
    const { answer } = await this.#try(`recall ${id}`, (core) => core.recaller.recall(tenant, [id]));
    record.answered = answer !== undefined;
  }

  async #try<T>(what: string, use: (core: Core) => Promise<T>): Promise<{ answer?: T; attempts: number }> {
    const most = this.#dice.integer(1, 6);
    for (let attempts = 1; attempts <= most; attempts++) {
      const node = this.#caller.pick();
      this.#history.tell(`${what} by ${node.host.name}`);
      try {
        const answer = await this.#caller.call(node, use, timeoutMs);
        this.#history.tell(`${what} answered`);
        return { answer, attempts };
      } catch (error) {
        this.#history.tell(`${what} failed: ${nameOf(error)}`);
        if (!isExpected(error)) this.#history.alarm(`${what}: ${nameOf(error)}`);
      }
      await this.#scheduler.sleep(this.#dice.between(5, 300));
    }
    return { attempts: most };
  }

  #some(ids: readonly string[]): string[] {
    const count = this.#dice.integer(1, 3);
    return Array.from({ length: count }, () => this.#dice.pick(ids.slice(-12)));
  }
}
