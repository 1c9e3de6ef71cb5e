/** The audiences to which runs publish. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Kind, type PublishRequestSchema } from "../../src/gen.ts";

/** A request of Publish. */
export type PublishInit = Exclude<MessageInitShape<typeof PublishRequestSchema>, { $typeName: string }>;

/** An audience, the kind of its messages, and the feeds in which they are stored. */
export type Destination = Pick<PublishInit, "audience"> & {
  readonly kind: Kind;
  readonly feeds: readonly string[];
  /** All pages of the run receive its messages. */
  readonly isForAll: boolean;
};

/** The number of users in the audience with a list of users. */
const listedUsers = 5;

/** Every kind of audience: each user, a list of users, and the three feeds that all users follow. */
export function destinationsFor(users: readonly string[]): Destination[] {
  const kind = Kind.NOTIFICATION;
  const feedOf = (user: string) => `user/${user}`;
  const some = users.slice(0, listedUsers);
  const own: Omit<Destination, "isForAll">[] = [
    ...users.map((value) => ({ kind, audience: { to: { case: "userId" as const, value } }, feeds: [feedOf(value)] })),
    { kind, audience: { to: { case: "users", value: { userIds: some } } }, feeds: some.map(feedOf) },
  ];
  const all: Omit<Destination, "isForAll">[] = [
    { kind, audience: { to: { case: "tenant", value: true } }, feeds: ["tenant"] },
    { kind: Kind.ACTIVITY, audience: { to: { case: "tenant", value: true } }, feeds: ["activity"] },
    { kind, audience: { to: { case: "everyone", value: true } }, feeds: ["everyone"] },
  ];
  return [
    ...own.map((destination) => ({ ...destination, isForAll: false })),
    ...all.map((destination) => ({ ...destination, isForAll: true })),
  ];
}
