import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Scope } from "../../gen/tidings/v1/message_pb.ts";
import type { PublishResponse, Receipt } from "../../gen/tidings/v1/push_service_pb.ts";
import { fail } from "../errors.ts";
import type { OnlineTotals, Presence } from "../ports/presence.ts";
import type { AppendResult } from "../ports/store.ts";
import { tenantKey } from "../util/keys.ts";
import type { ResolvedAudience } from "./audience.ts";
import type { StampedMessage } from "./stamp.ts";

/** Answers the requests of one publish call. Every message of a batch to the same readers shares one count of them. */
export class Answers {
  readonly #presence: Presence;
  /** The online counts asked for so far, by tenant and room. */
  readonly #counts = new Map<string, Promise<OnlineTotals>>();

  constructor(presence: Presence) {
    this.#presence = presence;
  }

  /** Answers one request; `result` is the store's answer, undefined for a message of which it knows nothing. */
  async answer(message: StampedMessage, result: AppendResult | undefined): Promise<PublishResponse | Error> {
    if (result?.outcome === "conflict") {
      return fail("REQUEST_ID_REUSED", "the id was used for other content; use a fresh one", { field: "request_id" });
    }
    const { audience, live, append } = message;
    const { id, publishTime } = result ?? append;
    const connections = audience.users.length === 0 ? [] : await this.#connections(audience);
    return {
      $typeName: "tidings.v1.PublishResponse",
      messageId: id,
      publishTime: timestampFromMs(publishTime),
      duplicate: result?.outcome === "duplicate",
      receipts: audience.users.map((userId, index) => receipt(userId, !live, connections[index] ?? 0)),
      onlineUsers: audience.scope === Scope.USER ? 0 : (await this.#online(audience)).users,
    };
  }

  /** Counts the open streams of each named user. The message is stored by now, so a failure to count must not fail the publish. */
  #connections({ tenant, users }: ResolvedAudience): Promise<readonly number[]> {
    return this.#presence.connections(tenant, users).catch(() => []);
  }

  #online({ tenant, scope, room }: ResolvedAudience): Promise<OnlineTotals> {
    const key = tenantKey(tenant, room);
    const counting = this.#counts.get(key) ?? this.#count(scope === Scope.EVERYONE ? undefined : tenant, room);
    this.#counts.set(key, counting);
    return counting;
  }

  #count(tenant: string | undefined, room: string): Promise<OnlineTotals> {
    const counting = room === "" ? this.#presence.count(tenant) : this.#presence.count(tenant, room);
    return counting.catch(() => ({ users: 0, connections: 0 }));
  }
}

function receipt(userId: string, stored: boolean, connections: number): Receipt {
  return { $typeName: "tidings.v1.Receipt", userId, stored, online: connections > 0, connections };
}
