import { Code, type ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import type { PublishResponse } from "../../gen/tidings/v1/push_service_pb.ts";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import { fail, reasonOf, retryAfterOf } from "../../src/errors.ts";
import type { StoreInfo } from "../../src/ports/store.ts";
import type { Authorize } from "../../src/rooms/access.ts";
import { FakeClock, tick } from "../support/clock.ts";
import {
  publishRequest,
  serviceOf,
  startTestCore,
  type TestCore,
  type TestCoreOptions,
  toTenant,
  toUsers,
  userOf,
} from "../support/core.ts";
import type { StoreMethod } from "../support/store-tap.ts";

/** The timeout of the store. */
const timeoutMs = 1_800;
/** The resolution of the measured times. */
const stepMs = 10;
const ann = userOf("acme");
const bob = userOf("acme", "bob");
const room = "dm/ann/bob";
const inRoom = { rooms: [{ roomId: room }] };

/** A store with a timeout, as one on another machine has. */
class RemoteStore extends SqliteStore {
  override async open(): Promise<StoreInfo> {
    return { ...(await super.open()), timeoutMs };
  }
}

/** The outcome of a publish, and how long it took by the clock. */
interface Outcome {
  readonly answer: PublishResponse | ConnectError;
  readonly tookMs: number;
}

/** A node with a slow store. */
class SlowNode {
  /** How long each call of the store takes. */
  takesMs = 0;
  /** Calls of this method are not answered, and are rejected after the store's timeout. */
  hangs: StoreMethod | undefined;
  readonly clock: FakeClock;
  node!: TestCore;
  #working = 0;

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  /** Makes the room one that ann has entered, so that her next message saves her read state once, after the append. */
  async enter(): Promise<void> {
    await this.node.core.context.states.enroll("acme", "ann", [room]);
  }

  static async use(work: (slow: SlowNode) => Promise<void>, options: TestCoreOptions = {}): Promise<void> {
    const slow = new SlowNode(options.clock ?? new FakeClock());
    const store = options.store ?? new RemoteStore({ folder: ":memory:", keep: 10_000 });
    slow.node = await startTestCore({
      clock: slow.clock,
      around: (method, call) => slow.#around(method, call),
      ...options,
      store,
    });
    try {
      await work(slow);
    } finally {
      await slow.node.close();
    }
  }

  /** Advances the clock until a publish ends, which must be within an hour. */
  async time(publish: Promise<PublishResponse | Error | undefined>): Promise<Outcome> {
    const began = this.clock.now();
    let answer: unknown;
    publish.then(
      (value) => {
        answer = value;
      },
      (error: unknown) => {
        answer = error;
      },
    );
    await this.#quiet();
    while (answer === undefined && this.clock.now() < began + 3_600_000) await this.pass(stepMs);
    return { answer: answer as PublishResponse | ConnectError, tookMs: this.clock.now() - began };
  }

  /** Advances the clock, and runs whatever that starts. */
  async pass(milliseconds: number): Promise<void> {
    for (let passed = 0; passed < milliseconds; passed += stepMs) {
      await this.clock.advance(stepMs);
      await this.#quiet();
    }
  }

  /** Publishes a notification from ann to bob. */
  say(requestId = "r"): Promise<Outcome> {
    return this.time(this.node.say(ann, room, { title: "hello" }, { requestId }));
  }

  async #around<T>(method: StoreMethod, call: () => Promise<T>): Promise<T> {
    if (this.takesMs > 0) await this.#wait(this.takesMs);
    if (method === this.hangs) {
      await this.#wait(timeoutMs - this.takesMs);
      throw fail("STORE_UNAVAILABLE", "the store did not answer; repeat the request", { retryAfterMs: 1000 });
    }
    this.#working++;
    try {
      return await call();
    } finally {
      this.#working--;
    }
  }

  #wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(milliseconds, resolve));
  }

  /** Waits until all work waits for the clock. */
  async #quiet(): Promise<void> {
    for (let idleTicks = 0; idleTicks < 3; idleTicks++) {
      await tick();
      if (this.#working > 0) idleTicks = -1;
    }
  }
}

function expectUnavailable({ answer, tookMs }: Outcome): void {
  const error = answer as ConnectError;
  expect([error.code, reasonOf(error)]).toEqual([Code.Unavailable, "STORE_UNAVAILABLE"]);
  expect(retryAfterOf(error)).toBeGreaterThan(0);
  expect(tookMs).toBeLessThanOrEqual(2_000);
}

describe("While the store is away, a publish", () => {
  test.each(["readState", "select", "saveReadState", "append"] as const)(
    "fails within two seconds at %s, and its repetition completes it",
    async (hangs) => {
      await SlowNode.use(async (slow) => {
        const reader = await slow.node.live(bob, inRoom);
        Object.assign(slow, { hangs, takesMs: 290 });
        expectUnavailable(await slow.say());
        Object.assign(slow, { hangs: undefined, takesMs: 0 });
        await slow.pass(10_000);
        const { answer } = await slow.say();
        expect(answer).toMatchObject({ messageId: reader.messages[0]?.id });
        expect((await slow.node.unread(ann)).messages).toEqual([]);
        expect((await slow.node.unread(bob)).messages).toHaveLength(1);
        expect(reader.messages).toHaveLength(1);
      });
    },
  );

  test.each(["readState", "append", "find", "read", "saveReadState"] as const)(
    "that repeats an earlier one fails within two seconds at %s",
    async (hangs) => {
      await SlowNode.use(async (slow) => {
        await slow.node.say(bob, room);
        await slow.enter();
        // The message is stored, but not marked as read by its author.
        slow.hangs = "saveReadState";
        expectUnavailable(await slow.say());
        Object.assign(slow, { hangs, takesMs: 290 });
        expectUnavailable(await slow.say());
        Object.assign(slow, { hangs: undefined, takesMs: 0 });
        await slow.pass(10_000);
        expect((await slow.say()).answer).toMatchObject({ duplicate: true });
        expect((await slow.node.unread(ann)).messages.map(({ actor }) => actor?.id)).toEqual(["bob"]);
      });
    },
  );

  test("fails within two seconds when every call is answered slowly, and still announces what it stored", async () => {
    await SlowNode.use(async (slow) => {
      await slow.say("before");
      const [own, other] = [await slow.node.live(ann, inRoom), await slow.node.live(bob, inRoom)];
      slow.takesMs = 700;
      expectUnavailable(await slow.say());
      await slow.pass(60_000);
      slow.takesMs = 0;
      await slow.pass(1_000);
      expect([own, other].map(({ messages }) => messages.map(({ title }) => title))).toEqual([["hello"], ["hello"]]);
      expect([own.badge.total, other.badge.total]).toEqual([0, 2]);
      expect((await slow.say()).answer).toMatchObject({ duplicate: true });
    });
  });

  test("stores nothing after it failed before the append", async () => {
    await SlowNode.use(async (slow) => {
      slow.takesMs = 1_500;
      expectUnavailable(await slow.say());
      await slow.pass(60_000);
      expect(slow.node.called("append")).toBe(0);
    });
  });

  test("reads a user's read state once for all that wait for it", async () => {
    await SlowNode.use(async (slow) => {
      await slow.say();
      slow.hangs = "readState";
      const before = slow.node.called("readState");
      const sent = Array.from({ length: 20 }, (_, index) => slow.node.say(ann, room, {}, { requestId: `${index}` }));
      const outcomes = Promise.allSettled(sent);
      await slow.pass(60_000);
      expect((await outcomes).map(({ status }) => status)).toEqual(sent.map(() => "rejected"));
      expect(slow.node.called("readState") - before).toBe(1);
    });
  });

  test("delivers its stored message though it fails because its author's read state cannot be saved", async () => {
    await SlowNode.use(async (slow) => {
      await slow.node.say(bob, room);
      await slow.enter();
      const reader = await slow.node.live(bob, inRoom);
      slow.hangs = "saveReadState";
      expectUnavailable(await slow.say());
      await reader.until(({ messages }) => messages.at(-1)?.title === "hello");
      slow.hangs = undefined;
      expect((await slow.say()).answer).toMatchObject({ duplicate: true, messageId: reader.messages.at(-1)?.id });
    });
  });
});

describe("A publish may take longer", () => {
  const drafts = (count: number) => Array.from({ length: count }, (_, index) => toUsers("ann", "bob", `c${index}`));

  test("when it appends to many feeds, by two milliseconds for each", async () => {
    await SlowNode.use(async (slow) => {
      slow.takesMs = 3_000;
      const requests = drafts(200).map((to) => publishRequest(to));
      const [first, second] = [requests.slice(0, 199), requests.slice(0, 180)];
      const send = async (some: typeof requests) =>
        (await slow.node.core.publisher.publish(serviceOf("acme"), some))[0];
      const { answer, tookMs } = await slow.time(send(first));
      expect(answer).toMatchObject({ duplicate: false });
      expect(tookMs).toBeGreaterThanOrEqual(3_000);
      const failed = await slow.time(send(second));
      expect(reasonOf(failed.answer as ConnectError)).toBe("STORE_UNAVAILABLE");
      expect(failed.tookMs).toBeLessThan(3_000);
    });
  });

  test("when the authorize hook is asked whether the caller may publish", async () => {
    const clock = new FakeClock();
    const hookMs = 1_900;
    const authorize: Authorize = {
      known: () => undefined,
      ask: () => new Promise((resolve) => clock.after(hookMs, () => resolve(true))),
    };
    await SlowNode.use(
      async (slow) => {
        slow.takesMs = 250;
        const { answer, tookMs } = await slow.time(slow.node.say(ann, "desk"));
        expect(answer).toMatchObject({ duplicate: false });
        expect(tookMs).toBeGreaterThan(hookMs + slow.takesMs);
      },
      { authorize, clock },
    );
  });

  test("when the store is in the same process, and so is never away", async () => {
    await SlowNode.use(
      async (slow) => {
        slow.takesMs = 60_000;
        const { answer, tookMs } = await slow.time(slow.node.publish("acme", toTenant));
        expect(answer).toMatchObject({ duplicate: false });
        expect(tookMs).toBeGreaterThanOrEqual(60_000);
      },
      { store: new SqliteStore({ folder: ":memory:", keep: 10_000 }) },
    );
  });
});

test("A publish that is answered leaves no timer", async () => {
  await SlowNode.use(async (slow) => {
    const before = slow.clock.pending;
    await slow.say();
    expect(slow.clock.pending).toBe(before);
  });
});
