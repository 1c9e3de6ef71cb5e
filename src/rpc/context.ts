import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Identity } from "../auth/identity.ts";
import type { Span } from "../ports/tracer.ts";

/** The caller of a call; set by the gate before any handler runs. */
export const identityKey = createContextKey<Identity | undefined>(undefined);

/** The trace span of a unary call; unset while tracing is off. Set by the gate. */
export const spanKey = createContextKey<Span | undefined>(undefined);

/**
 * The caller of a call. Throws when the handler was registered without the gate: a mistake in the wiring, not in the
 * request.
 */
export function identityOf(context: HandlerContext): Identity {
  const identity = context.values.get(identityKey);
  if (!identity) throw new Error(`no gate stands before ${context.method.name}`);
  return identity;
}
