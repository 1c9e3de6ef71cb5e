import { ConnectError } from "@connectrpc/connect";
import { afterEach, expect, test, vi } from "vitest";
import { reasonOf } from "../../src/errors.ts";
import { InFlight } from "../../src/http/in-flight.ts";

const mebibyte = 1024 * 1024;
const call = { session: undefined, user: "ann" };

afterEach(() => void vi.useRealTimers());

test("A body that keeps arriving is not cut for a new one, and one that has stopped is", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const limits = { connectionBytes: mebibyte, userBytes: 2 * mebibyte, nodeBytes: 9 * mebibyte };
  const inFlight = new InFlight(limits, 30_000, () => {});
  const first = inFlight.body(call, 1.5 * mebibyte);
  await first.take(100_000);
  vi.advanceTimersByTime(2_000);
  first.take(100_000);
  const refused = inFlight.body(call, 1.5 * mebibyte).take(100_000);
  const error = await Promise.resolve(refused).catch(ConnectError.from);
  expect(reasonOf(error as ConnectError)).toBe("TOO_MUCH_IN_FLIGHT");
  first.take(100_000);
  vi.advanceTimersByTime(2_000);
  await inFlight.body(call, 1.5 * mebibyte).take(100_000);
  expect(() => first.take(1)).toThrow("too many bytes");
});
