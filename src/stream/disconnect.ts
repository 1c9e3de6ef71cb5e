import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { DisconnectRequest } from "../../gen/tidings/v1/admin_service_pb.ts";
import type { BlockList } from "../auth/block-list.ts";
import type { Identity } from "../auth/identity.ts";
import { tenantOf } from "../feeds/feed.ts";
import type { Bus, DisconnectNotice } from "../ports/bus.ts";
import type { Presence } from "../ports/presence.ts";
import type { StreamRegistry } from "./registry.ts";

/** Ends a user's streams on every node, and keeps the user out for as long as was asked. */
export class Disconnector {
  readonly #blocks: BlockList;
  readonly #bus: Bus;
  readonly #presence: Presence;
  readonly #streams: StreamRegistry;

  constructor(blocks: BlockList, bus: Bus, presence: Presence, streams: StreamRegistry) {
    this.#blocks = blocks;
    this.#bus = bus;
    this.#presence = presence;
    this.#streams = streams;
  }

  /**
   * Answers how many streams end. What the store keeps of it comes first: who is blocked would be back before it, and
   * nodes that do not hear the notice find it there. A failure is an error all the same for who is only cut off, though
   * those who hear it end.
   */
  async disconnect(caller: Identity, request: DisconnectRequest): Promise<number> {
    const { userId: user, tokenId, reason, blockUntil } = request;
    const notice: DisconnectNotice = {
      type: "disconnect",
      tenant: tenantOf(caller, request.tenantId),
      user,
      tokenId,
      reason,
    };
    const kept = this.#blocks.set(notice, blockUntil && timestampMs(blockUntil));
    const [outcome] = await Promise.allSettled([kept]);
    if (blockUntil) await kept;
    const open = await this.#count(notice);
    this.#bus.publish([notice]);
    if (outcome.status === "rejected") throw outcome.reason;
    return open;
  }

  /** Presence knows no tokens: of a single one, the streams of this node are counted. */
  async #count({ tenant, user, tokenId }: DisconnectNotice): Promise<number> {
    if (tokenId !== "") return this.#streams.count((stream) => stream.isOf({ tenant, user, tokenId }));
    const [open = 0] = await this.#presence.connections(tenant, [user]);
    return open;
  }
}
