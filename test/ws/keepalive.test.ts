import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Keepalive, type Pinged } from "../../src/ws/keepalive.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
afterEach(() => void vi.useRealTimers());

/** A connection that counts its pings. */
class Counting implements Pinged {
  pings = 0;

  ping(): void {
    this.pings++;
  }
}

describe("Pings", () => {
  test("are sent every 20 s, the first one not at once", () => {
    const pings = new Keepalive();
    const connection = new Counting();
    pings.add(connection);
    vi.advanceTimersByTime(19_000);
    expect(connection.pings).toBe(0);
    vi.advanceTimersByTime(1000);
    expect(connection.pings).toBe(1);
    vi.advanceTimersByTime(60_000);
    expect(connection.pings).toBe(4);
  });

  test("of connections that were opened at different times are not sent together", () => {
    const pings = new Keepalive();
    const connections = Array.from({ length: 20 }, () => {
      const connection = new Counting();
      pings.add(connection);
      vi.advanceTimersByTime(1000);
      return connection;
    });
    for (let second = 0; second < 20; second++) {
      const before = connections.map((connection) => connection.pings);
      vi.advanceTimersByTime(1000);
      const pinged = connections.filter((connection, index) => connection.pings > (before[index] as number));
      expect(pinged).toHaveLength(1);
    }
  });

  test("stop for a connection that is gone, and without connections no timer runs", () => {
    const pings = new Keepalive();
    const [gone, other] = [new Counting(), new Counting()];
    const slice = pings.add(gone);
    const otherSlice = pings.add(other);
    pings.delete(gone, slice);
    pings.delete(gone, slice);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(20_000);
    expect([gone.pings, other.pings]).toEqual([0, 1]);
    pings.delete(other, otherSlice);
    expect(vi.getTimerCount()).toBe(0);
    pings.add(gone);
    vi.advanceTimersByTime(20_000);
    expect(gone.pings).toBe(1);
  });
});
