/** To whom runs publish. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Kind, type PublishRequestSchema } from "../../src/gen.ts";

/** A request of Publish. */
export type PublishInit = Exclude<MessageInitShape<typeof PublishRequestSchema>, { $typeName: string }>;

/** An audience, what it gets, and the feeds in which that ends up. */
export type Target = Pick<PublishInit, "audience"> & {
  readonly kind: Kind;
  readonly feeds: readonly string[];
  /** Each page of the run receives it. */
  readonly isForAll: boolean;
};

const listed = 5;

/** Every way to address a message: each user, some of them by a list, and the three feeds that all follow. */
export function targetsFor(users: readonly string[]): Target[] {
  const kind = Kind.NOTIFICATION;
  const feedOf = (user: string) => `user/${user}`;
  const some = users.slice(0, listed);
  const own: Omit<Target, "isForAll">[] = [
    ...users.map((value) => ({ kind, audience: { to: { case: "userId" as const, value } }, feeds: [feedOf(value)] })),
    { kind, audience: { to: { case: "users", value: { userIds: some } } }, feeds: some.map(feedOf) },
  ];
  const all: Omit<Target, "isForAll">[] = [
    { kind, audience: { to: { case: "tenant", value: true } }, feeds: ["tenant"] },
    { kind: Kind.ACTIVITY, audience: { to: { case: "tenant", value: true } }, feeds: ["activity"] },
    { kind, audience: { to: { case: "everyone", value: true } }, feeds: ["everyone"] },
  ];
  return [
    ...own.map((target) => ({ ...target, isForAll: false })),
    ...all.map((target) => ({ ...target, isForAll: true })),
  ];
}
