/** Options of the bounds on bytes that peers make a node hold. */
import { getHeapStatistics } from "node:v8";

/**
 * Bytes of answers that their callers have not read, and, counted apart with the same bounds, of request bodies that have not
 * arrived whole. Streams are not among them: they hold one batch each.
 */
export interface InFlightOptions {
  /**
   * Of one user on one HTTP/2 connection, or of all services on it. Further calls of the user on this connection wait; over
   * HTTP/1.1, calls of one connection run one after another anyway. Default 16 MiB.
   */
  readonly connectionBytes?: number;
  /** Of one user, over all connections. Those of its calls that have not moved for the longest time are cut. Default 32 MiB. */
  readonly userBytes?: number;
  /** Of the node, in the same way. Default: 1/32 of the heap limit, and at least 32 MiB. */
  readonly nodeBytes?: number;
}

/** InFlightOptions with the defaults filled in. */
export type InFlightSettings = Required<InFlightOptions>;

const mebibyte = 1024 * 1024;
/** The least bound: one message of the largest size must pass. */
const least = 64 * 1024;

/** Fills in the defaults. Throws a RangeError that names the first option that is wrong. */
export function resolveInFlight({ connectionBytes, userBytes, nodeBytes }: InFlightOptions = {}): InFlightSettings {
  const resolved = {
    connectionBytes: connectionBytes ?? 16 * mebibyte,
    userBytes: userBytes ?? 32 * mebibyte,
    nodeBytes: nodeBytes ?? Math.max(32 * mebibyte, Math.floor(getHeapStatistics().heap_size_limit / 32)),
  };
  for (const [name, value] of Object.entries(resolved)) {
    if (!Number.isFinite(value) || value < least) {
      throw new RangeError(`inFlight.${name}: must be a number of at least ${least}`);
    }
  }
  return resolved;
}
