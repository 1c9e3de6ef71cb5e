import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { DisconnectRequest } from "../../gen/tidings/v1/admin_service_pb.ts";
import type { BlockList } from "../auth/block-list.ts";
import type { Identity } from "../auth/identity.ts";
import { tenantOf } from "../feeds/feed.ts";
import type { Bus, DisconnectNotice } from "../ports/bus.ts";
import type { Presence } from "../ports/presence.ts";
import type { StreamRegistry } from "./registry.ts";

/** Ends a user's streams on every node, and blocks the user for as long as the request says. */
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
   * Resolves to how many streams end. The block list is written before the notice is sent, or a blocked client would be
   * back before its block, and nodes that miss the notice find it in the list. If that write fails and nothing is to be
   * blocked, the streams that hear the notice end all the same, and the call rejects.
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
    const saving = this.#blocks.set(notice, blockUntil && timestampMs(blockUntil));
    const [saved] = await Promise.allSettled([saving]);
    if (blockUntil) await saving;
    const open = await this.#count(notice);
    this.#bus.publish([notice]);
    if (saved.status === "rejected") throw saved.reason;
    return open;
  }

  /** Presence does not know tokens, so for a single token only the streams of this node are counted. */
  async #count({ tenant, user, tokenId }: DisconnectNotice): Promise<number> {
    if (tokenId !== "") return this.#streams.count((stream) => stream.isOf({ tenant, user, tokenId }));
    const [open = 0] = await this.#presence.connections(tenant, [user]);
    return open;
  }
}
