import { expect, test, vi } from "vitest";
import { PushService } from "../../../../gen/tidings/v1/push_service_pb.ts";
import { FakeClock } from "../../../support/clock.ts";
import type { Caller } from "../caller.ts";
import type { Connect, Traits } from "../driver.ts";
import { factsOf, meet, ownStage, type Stage } from "./people.ts";

const { onlineCount } = PushService.method;

/** Waits until this many streams are open. */
async function untilOpen(caller: Caller, connections: number): Promise<void> {
  await vi.waitFor(async () => expect((await caller.call(onlineCount, {})).connections).toBe(connections), 10_000);
}

/** Registers the tests of how streams end. */
export function endings(stage: Stage, connect: Connect, { deadlineMs }: Traits): void {
  test("has its stream freed when it goes away", async (context) => {
    const { ann, bob, helper } = await meet(stage, context);
    const [stream] = await Promise.all([ann.live(), bob.live()]);
    await untilOpen(helper, 2);
    stream.cancel();
    await untilOpen(helper, 1);
  });

  if (deadlineMs !== undefined) {
    test("has its stream ended at its deadline, and freed", async (context) => {
      const { ann, helper } = await meet(stage, context);
      // On a busy machine, the deadline may pass before the first event.
      const { code } = await ann.subscribe({}, deadlineMs).endAfterAll();
      expect(code).toBe("deadline_exceeded");
      await untilOpen(helper, 0);
    });
  }

  test("has its stream ended when its token expires", async (context) => {
    const clock = new FakeClock();
    const own = await ownStage(connect, { clock }, context);
    const { ann } = await meet(own, context, { ttl: 10 });
    const stream = await ann.live();
    await clock.advance(10_000);
    expect(factsOf(await stream.end())).toMatchObject({ code: "unauthenticated", reason: "TOKEN_EXPIRED" });
  });

  test("receives go_away before the server stops", async (context) => {
    const own = await ownStage(connect, { drainMs: 0 }, context);
    const { ann } = await meet(own, context);
    const stream = await ann.live();
    const stopped = own.server.stop();
    const { reason, message } = await stream.expect("goAway");
    expect({ reason, message }).toEqual({ reason: "SERVER_DRAINING", message: "the server is going away" });
    expect(factsOf(await stream.end())).toMatchObject({ code: "unavailable", reason: "SERVER_DRAINING" });
    await stopped;
  });
}
