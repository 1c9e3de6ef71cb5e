/** The messages between the first thread of `tidings serve` and those that serve. */
import type { Address } from "../../http/listener.ts";
import type { ReloadOptions } from "../../server.ts";
import type { ThreadParts } from "../../shared-process.ts";
import type { Values } from "../config/settings.ts";

/** The data that a thread starts with. */
export interface ThreadData {
  /** The settings of the command line. */
  readonly values: Values;
  /** The number of threads, which divide some limits of the process. */
  readonly count: number;
  readonly parts: ThreadParts;
}

/** A message to a thread. */
export type ToThread =
  /** Listen on this port, together with the other threads. */
  | { readonly type: "listen"; readonly port: number }
  | { readonly type: "drain" }
  | { readonly type: "reload"; readonly fresh: ReloadOptions }
  /** Answer with the metrics. */
  | { readonly type: "metrics" };

/** A message from a thread. */
export type FromThread =
  /** It accepts connections. */
  | { readonly type: "ready"; readonly address: Address }
  /** The metrics as Prometheus reads them. */
  | { readonly type: "metrics"; readonly page: string };
