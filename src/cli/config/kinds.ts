import { Kind } from "../../../gen/tidings/v1/message_pb.ts";

/** The kinds of a message, by their names on the command line. */
export const kinds = { notification: Kind.NOTIFICATION, activity: Kind.ACTIVITY, event: Kind.EVENT } as const;

/** The name of a kind on the command line. */
export type KindName = keyof typeof kinds;

/** The names of all kinds, in the order of the contract. */
export const kindNames = Object.keys(kinds) as KindName[];

/** The name of a kind; undefined for a kind that this version does not know. */
export function kindName(kind: Kind): KindName | undefined {
  return kindNames.find((name) => kinds[name] === kind);
}
