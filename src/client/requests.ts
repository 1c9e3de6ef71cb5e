/** Requests in a plainer form than the contract's, the same for Protobuf and JSON. */
import type { Position } from "./events.ts";

/** Which messages to mark: one of `ids`, `all`, `oldest`, or categories alone. Repeating it changes nothing more. */
export interface MarkRequest {
  /** These messages: 1 to 1,000. */
  readonly ids?: readonly string[];
  /** All messages. */
  readonly all?: true;
  /** The first N unread messages (with `unread`: the first N read ones), oldest first: 1 to 1,000. */
  readonly oldest?: number;
  /** Of these, only messages of these categories: at most 100. */
  readonly categories?: readonly string[];
  /** Back to unread. */
  readonly unread?: boolean;
  /** Of these, only messages up to these positions: what the page had shown when its user clicked. */
  readonly upTo?: readonly Position[];
}

/** Which messages to delete. Repeating it changes nothing more. */
export interface DeleteRequest {
  /** These messages: 1 to 1,000. */
  readonly ids?: readonly string[];
  /** All of this category in the caller's inbox, or of `ids` only those of it. */
  readonly category?: string;
  /** Of these, only messages that have expired. */
  readonly expiredOnly?: boolean;
  /** Take the messages from every inbox and page. Services must set it, users must not. */
  readonly recall?: boolean;
  /** All messages of this batch, with `recall`. */
  readonly batchId?: string;
  /** Only for a service that is not bound to a tenant. */
  readonly tenantId?: string;
}

/** Whom to count: `users`, the members of a room, or, with neither, the whole tenant. */
export interface OnlineRequest {
  /** Of these users, each with a presence: 1 to 10,000. */
  readonly users?: readonly string[];
  /** Of the members of this room. */
  readonly roomId?: string;
  /** Only for a service that is not bound to a tenant. */
  readonly tenantId?: string;
}
