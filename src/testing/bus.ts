/** The law of port Bus, as it stands in its types, as tests. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Bus, BusEvent, EntryNotice, Notice } from "../ports/bus.ts";

/** Open nodes of one bus. */
export interface OpenedBus {
  /** The nodes: at least two where the bus connects processes. */
  readonly buses: readonly [Bus, ...Bus[]];
  /** Closes all of them. */
  close(): Promise<void>;
}

const feed = { tenant: "t", name: "user/ann" };

/**
 * Registers the tests of port Bus for an adapter. `make` opens nodes that hear each other; it is called once for each
 * test.
 */
export function busContract(name: string, make: () => Promise<OpenedBus>): void {
  describe(name, () => {
    let opened: OpenedBus;
    let bus: Bus;
    beforeEach(async () => {
      opened = await make();
      [bus] = opened.buses;
    });
    afterEach(() => opened.close());

    test("delivers each notice to every listener of every node, the sender's included, in order", async () => {
      const heard = [...opened.buses, ...opened.buses].map((each) => listen(each));
      const sent = Array.from({ length: 100 }, (_, index) => entry(index + 1));
      bus.publish(sent.slice(0, 60));
      for (const notice of sent.slice(60)) bus.publish([notice]);
      for (const { notices } of heard) await expect.poll(() => notices).toEqual(sent);
    });

    test("carries every field of each kind of notice", async () => {
      const { notices } = listen(opened.buses.at(-1) ?? bus);
      const body = Uint8Array.from({ length: 256 }, (_, index) => index);
      const sent: Notice[] = [
        { ...entry(2 ** 40), body, expireTime: 1_800_000_000_000.5 },
        { ...entry(1), expireTime: Number.POSITIVE_INFINITY },
        { type: "live", feed: { tenant: "", name: "everyone" }, body },
        { ...entry(3), trace: `00-${"a".repeat(32)}-${"b".repeat(16)}-01` },
        { type: "live", feed, body, trace: `00-${"c".repeat(32)}-${"d".repeat(16)}-01` },
        {
          type: "read",
          tenant: "日本",
          user: "a\nb",
          readIds: ["1"],
          unreadIds: [],
          deletedIds: ["2", "3"],
          all: true,
        },
        { type: "recall", feed, ids: ["1", "2"] },
        { type: "disconnect", tenant: "", user: "ann", tokenId: "t", reason: "why" },
      ];
      bus.publish(sent);
      // Notices of different feeds may overtake each other.
      await expect.poll(() => notices).toHaveLength(sent.length);
      expect(notices).toEqual(expect.arrayContaining(sent));
    });

    test("delivers nothing when it is given no notices", async () => {
      const { notices } = listen(bus);
      bus.publish([]);
      bus.publish([entry(1)]);
      await expect.poll(() => notices).toEqual([entry(1)]);
    });

    test("delivers to a listener until it unsubscribes, and to the others after that", async () => {
      const [stays, goes] = [listen(bus), listen(bus)];
      bus.publish([entry(1)]);
      await expect.poll(() => goes.notices).toHaveLength(1);
      goes.stop();
      goes.stop();
      bus.publish([entry(2)]);
      await expect.poll(() => stays.notices).toEqual([entry(1), entry(2)]);
      expect(goes.notices).toEqual([entry(1)]);
    });

    test("calls a function once for each of its subscriptions", async () => {
      const notices: Notice[] = [];
      const listener = (heard: BusEvent) => void (heard.type !== "lost" && notices.push(heard));
      const stop = bus.subscribe(listener);
      bus.subscribe(listener);
      bus.publish([entry(1)]);
      await expect.poll(() => notices).toHaveLength(2);
      stop();
      bus.publish([entry(2)]);
      await expect.poll(() => notices).toEqual([entry(1), entry(1), entry(2)]);
    });

    test("lets a listener unsubscribe itself and others while it is called", async () => {
      const first = listen(bus);
      const stopSelf = bus.subscribe(() => {
        stopSelf();
        last.stop();
      });
      const last = listen(bus);
      bus.publish([entry(1), entry(2)]);
      await expect.poll(() => first.notices).toEqual([entry(1), entry(2)]);
      expect(last.notices).toEqual([]);
    });

    test("reports a listener that throws as a warning, and spares the publisher and the other listeners", async () => {
      const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      const failure = new Error("a listener's bug");
      bus.subscribe(() => {
        throw failure;
      });
      const { notices } = listen(bus);
      bus.publish([entry(1), entry(2)]);
      await expect.poll(() => notices).toEqual([entry(1), entry(2)]);
      expect(warn.mock.calls).toEqual([[failure], [failure]]);
      warn.mockRestore();
    });

    test("delivers what a restricted node has an interest in, and everything that is not about messages of feeds", async ({
      skip,
    }) => {
      const node = opened.buses.at(-1) ?? bus;
      if (!node.restrict) return skip("this bus delivers everything");
      const interest = node.restrict();
      const { notices } = listen(node);
      const other = { tenant: "t", name: "user/bob" };
      const read: Notice = {
        type: "read",
        tenant: "t",
        user: "ann",
        readIds: ["1"],
        unreadIds: [],
        deletedIds: [],
        all: false,
      };
      const always: Notice[] = [
        { type: "recall", feed: other, ids: ["1"] },
        { type: "disconnect", tenant: "t", user: "bob", tokenId: "", reason: "why" },
      ];
      interest.add(feed);
      interest.add(feed);
      interest.delete(feed);
      const wanted = [entry(1), { type: "live", feed, body: new Uint8Array([1]) }, read, ...always] as const;
      bus.publish([{ ...entry(9), feed: other }, ...wanted]);
      await expect.poll(() => notices).toEqual(expect.arrayContaining([...wanted]));
      interest.add(other);
      const late = { ...entry(10), feed: other };
      bus.publish([late]);
      await expect.poll(() => notices).toContainEqual(late);
    });

    test("delivers nothing after it is closed, and can be closed again", async () => {
      const { notices } = listen(bus);
      bus.publish([entry(1)]);
      await expect.poll(() => notices).toHaveLength(1);
      await bus.close();
      bus.publish([entry(2)]);
      await bus.close();
      expect(notices).toEqual([entry(1)]);
    });
  });
}

function listen(bus: Bus): { notices: Notice[]; stop: () => void } {
  const notices: Notice[] = [];
  return { notices, stop: bus.subscribe((heard) => heard.type !== "lost" && notices.push(heard)) };
}

function entry(seq: number): EntryNotice {
  const body = new TextEncoder().encode(String(seq));
  return { type: "entry", feed, epoch: 7, seq, id: `id-${seq}`, body, expireTime: Number.POSITIVE_INFINITY };
}
