import { describe, expect, test } from "vitest";
import { MemoryBus } from "../../src/adapters/memory/bus.ts";
import type { Notice } from "../../src/ports/bus.ts";
import { toTenant, toUsers, userOf, withTestCore } from "../support/core.ts";

/** A bus that drops every notice while it is deaf. */
class DeafBus extends MemoryBus {
  deaf = false;

  override publish(notices: readonly Notice[]): void {
    if (!this.deaf) super.publish(notices);
  }
}

const ann = userOf("acme");
const bob = userOf("acme", "bob");

describe("A publish that is repeated", () => {
  test("reaches the streams that the first attempt could not notify", async () => {
    const bus = new DeafBus();
    await withTestCore(
      async (node) => {
        const readers = [await node.live(ann), await node.live(bob)];
        for (const to of [toTenant, toUsers("ann", "bob")]) {
          const send = () => node.publish("acme", to, { title: to.case as string }, { requestId: to.case as string });
          bus.deaf = true;
          await send();
          bus.deaf = false;
          await node.settle();
          expect(readers.map(({ messages }) => messages.at(-1)?.title === to.case)).toEqual([false, false]);
          expect(await send()).toMatchObject({ duplicate: true });
          await Promise.all(
            readers.map((reader) => reader.until(({ messages }) => messages.at(-1)?.title === to.case)),
          );
        }
        expect(readers.map(({ badge }) => badge.total)).toEqual([2, 2]);
      },
      { bus },
    );
  });

  test("sends its message neither to streams that have it nor after a recall", async () => {
    await withTestCore(async (node) => {
      const reader = await node.live(ann);
      const send = () => node.publish("acme", toTenant, { title: "once" }, { requestId: "r" });
      const { messageId } = await send();
      await send();
      await node.publish("acme", toTenant, { title: "next" });
      await reader.until(({ messages }) => messages.at(-1)?.title === "next");
      await node.core.recaller.recall("acme", [messageId]);
      expect(await send()).toMatchObject({ duplicate: true, messageId });
      await node.settle();
      expect(reader.messages.map(({ title }) => title)).toEqual(["once", "next"]);
      expect(reader.badge.total).toBe(1);
    });
  });

  test("marks its message as read by the author once, by one event", async () => {
    await withTestCore(async (node) => {
      const say = () => node.say(ann, "dm/ann/bob", { title: "mine" }, { requestId: "r" });
      const reader = await node.live(ann);
      await say();
      await node.settle();
      const [saves, events] = [node.called("saveReadState"), reader.all("readState").length];
      expect(await say()).toMatchObject({ duplicate: true });
      await node.settle();
      expect([node.called("saveReadState"), reader.all("readState").length]).toEqual([saves, events]);
    });
  });

  test("marks its message as read by the author if the first attempt could not", async () => {
    let broken = false;
    await withTestCore(
      async (node) => {
        const reader = await node.live(ann);
        const say = () => node.say(ann, "dm/ann/bob", { title: "mine" }, { requestId: "r" });
        await node.say(bob, "dm/ann/bob", { title: "theirs" });
        await node.core.context.states.enroll("acme", "ann", ["dm/ann/bob"]);
        broken = true;
        await expect(say()).rejects.toThrow("no answer");
        broken = false;
        expect(await say()).toMatchObject({ duplicate: true });
        expect((await node.unread(ann)).messages.map(({ title }) => title)).toEqual(["theirs"]);
        await reader.until(({ badge }) => badge.total === 1);
      },
      {
        async around(method, call) {
          if (broken && method === "saveReadState") throw new Error("no answer");
          return call();
        },
      },
    );
  });
});
