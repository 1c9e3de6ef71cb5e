import { Kind } from "../../../gen/tidings/v1/message_pb.ts";
import { type KindName, kindNames } from "./kind-names.ts";

/** The kinds of a message, by their names on the command line. */
export const kinds = {
  notification: Kind.NOTIFICATION,
  activity: Kind.ACTIVITY,
  event: Kind.EVENT,
} as const satisfies Record<KindName, Kind>;

/** The name of a kind; undefined for a kind that this version does not know. */
export function kindName(kind: Kind): KindName | undefined {
  return kindNames.find((name) => kinds[name] === kind);
}
