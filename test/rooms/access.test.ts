import { describe, expect, test } from "vitest";
import type { Identity } from "../../src/auth/identity.ts";
import type { DirectRooms } from "../../src/options.ts";
import { RoomAccess } from "../../src/rooms/access.ts";
import { FakeClock } from "../support/clock.ts";
import { reasonFrom, serviceOf } from "../support/core.ts";
import { FakeHook, member } from "../support/rooms.ts";

const ann = member("ann", ["a"], { publish: ["b"] });

function build() {
  const hook = new FakeHook();
  const clock = new FakeClock();
  return { hook, clock, access: new RoomAccess(hook, clock), alone: new RoomAccess(undefined, clock) };
}

describe("Room access", () => {
  test("is granted by the token, each claim for its own action", async () => {
    const { alone, access, hook } = build();
    for (const each of [alone, access]) {
      expect([each.known(ann, "a", "join"), each.known(ann, "b", "publish")]).toEqual([true, true]);
      expect(await each.may(ann, "a", "join")).toBe(true);
    }
    expect([alone.known(ann, "a", "publish"), alone.known(ann, "b", "join")]).toEqual([false, false]);
    expect([access.known(ann, "a", "publish"), access.known(ann, "b", "join")]).toEqual([undefined, undefined]);
    expect(hook.asked).toEqual([]);
  });

  test("to a direct room is for its two users and services, whatever the token and the hook grant", async () => {
    const { access, hook } = build();
    const nosy = member("cyd", ["**", "dm/**"], { publish: ["**"] });
    for (const action of ["join", "publish"] as const) {
      expect(access.known(ann, "dm/ann/bob", action)).toBe(true);
      expect(await access.may(nosy, "dm/ann/bob", action)).toBe(false);
      expect(access.known(member("a/b"), "dm/a%2Fb/c", action)).toBe(true);
      expect(access.known(member("a"), "dm/a%2Fb/c", action)).toBe(false);
      expect(access.known(serviceOf("acme"), "dm/ann/bob", action)).toBe(true);
    }
    expect(hook.asked).toEqual([]);
  });

  test("to a direct room is decided by a grant or the hook, the hook alone, or nobody, as the option says", async () => {
    const { hook, clock } = build();
    const granted = member("ann", ["dm/**"], { publish: ["dm/*/bob"] });
    const by = (policy: DirectRooms, hooked = true) => new RoomAccess(hooked ? hook : undefined, clock, policy);
    for (const action of ["join", "publish"] as const) {
      const known = (access: RoomAccess, caller: Identity) => access.known(caller, "dm/ann/bob", action);
      expect([known(by("grant"), granted), known(by("grant"), ann), known(by("grant", false), ann)]).toEqual([
        true,
        undefined,
        false,
      ]);
      expect([known(by("hook"), granted), known(by("hook"), ann)]).toEqual([undefined, undefined]);
      expect([known(by("off"), granted), known(by("off"), serviceOf("acme"))]).toEqual([false, false]);
      for (const policy of ["grant", "hook"] as const) {
        expect(known(by(policy), member("cyd", ["**"], { publish: ["**"] })), "somebody else").toBe(false);
        expect(known(by(policy), serviceOf("acme"))).toBe(true);
      }
    }
    const asked = by("hook").may(granted, "dm/ann/bob", "publish");
    expect(hook.asked).toEqual([{ tenant: "acme", user: "ann", room: "dm/ann/bob", action: "publish" }]);
    hook.answer("dm/ann/bob", true, { action: "publish" });
    expect(await asked).toBe(true);
    expect(by("off").known(ann, "a", "join"), "another room").toBe(true);
  });

  test("is decided by the hook, for the caller's own tenant and id, if the token does not grant it", async () => {
    const { access, hook } = build();
    const answer = access.may(ann, "c", "publish");
    expect(hook.asked).toEqual([{ tenant: "acme", user: "ann", room: "c", action: "publish" }]);
    hook.answer("c", true, { action: "publish" });
    expect(await answer).toBe(true);
    expect(access.known(ann, "c", "publish")).toBe(true);
    expect(access.known(ann, "c", "join")).toBeUndefined();
  });

  test("by LAST takes a grant of its own beside that to enter, or the consent of the hook, which hears the mode", async () => {
    const { access, alone, hook } = build();
    const taker = member("ann", ["a", "b"], { takeover: ["b", "c", "dm/**"] });
    for (const room of ["a", "c"]) {
      expect(alone.known(taker, room, "join", "last")).toBe(false);
      expect(access.known(taker, room, "join", "last")).toBeUndefined();
    }
    for (const room of ["b", "dm/ann/bob"]) expect(alone.known(taker, room, "join", "last")).toBe(true);
    expect(alone.known(taker, "dm/bob/cyd", "join", "last")).toBe(false);
    expect(alone.known(ann, "dm/ann/bob", "join", "last")).toBe(false);
    for (const mode of ["any", "first"] as const) expect(alone.known(taker, "a", "join", mode)).toBe(true);
    const asked = access.may(taker, "a", "join", "last");
    expect(hook.asked).toEqual([{ tenant: "acme", user: "ann", room: "a", action: "join", mode: "last" }]);
    hook.answer("a", true, { mode: "last" });
    expect(await asked).toBe(true);
    hook.answer("d", true, { mode: "last" });
    expect(access.known(taker, "d", "join"), "who may take the room may be in it").toBe(true);
  });

  test("is refused with the field that names the room, and so is a failure of the hook", async () => {
    const { access, alone, hook } = build();
    expect(await reasonFrom(alone.check(ann, "c", "join", "room_id"))).toBe("ROOM_FORBIDDEN");
    await expect(alone.check(ann, "c", "publish", "audience.room_id")).rejects.toThrow(/audience\.room_id: .*publish/);
    const waiting = Promise.allSettled(["one", "two"].map((field) => access.check(ann, "c", "join", field)));
    hook.breakDown();
    const errors = (await waiting).map((each) => (each as PromiseRejectedResult).reason as Error);
    expect(await reasonFrom(Promise.reject(errors[0]))).toBe("AUTHORIZE_UNAVAILABLE");
    expect(errors.map(({ message }) => /\] (\w+): /.exec(message)?.[1])).toEqual(["one", "two"]);
  });
});

describe("A user who is in rooms", () => {
  test("stays in the ones that are not refused", async () => {
    const { access, hook } = build();
    hook.answer("open", true);
    hook.answer("closed", false);
    const kept = access.kept(ann, ["a", "open", "closed", "dm/bob/cyd", "unknown"]);
    hook.breakDown();
    expect(await kept).toEqual(["a", "open", "unknown"]);
    expect(await build().alone.kept(ann, ["a", "b"])).toEqual(["a"]);
  });

  test("waits for a failing hook once, and not again until the cool-down ends", async () => {
    const { access, hook, clock } = build();
    const first = access.kept(ann, ["x"]);
    hook.breakDown();
    expect(await first).toEqual(["x"]);
    expect(await access.kept(ann, ["x", "y"])).toEqual(["x", "y"]);
    expect(hook.asked).toHaveLength(1);
    await clock.advance(10_000);
    const again = access.kept(ann, ["x"]);
    hook.answer("x", false);
    expect(await again).toEqual([]);
  });
});
