import type { Message } from "../../gen/tidings/v1/message_pb.ts";
import type { SubscribeRequest } from "../../gen/tidings/v1/push_service_pb.ts";

/** What a stream asked for; an empty list lets everything through. */
export type Filter = Pick<SubscribeRequest, "kinds" | "categories" | "events">;

/** Whether it lets everything through. */
export function isOpen({ kinds, categories, events }: Filter): boolean {
  return kinds.length + categories.length + events.length === 0;
}

/** Whether a stream wants the message. */
export function passes({ kinds, categories, events }: Filter, { kind, category, event }: Message): boolean {
  return (
    (kinds.length === 0 || kinds.includes(kind)) &&
    (categories.length === 0 || categories.includes(category)) &&
    (events.length === 0 || events.includes(event))
  );
}
