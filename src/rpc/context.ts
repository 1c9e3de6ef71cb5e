import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Identity } from "../auth/identity.ts";
import type { Span } from "../ports/tracer.ts";

/** Who calls; set by the gate before any handler runs. */
export const identityKey = createContextKey<Identity | undefined>(undefined);

/** The span of the call, where it is traced; set by the gate. */
export const spanKey = createContextKey<Span | undefined>(undefined);

/** Who calls. Throws when no gate stood before the handler: a mistake in the wiring, not in the request. */
export function identityOf(context: HandlerContext): Identity {
  const identity = context.values.get(identityKey);
  if (!identity) throw new Error(`no gate stands before ${context.method.name}`);
  return identity;
}
