/**
 * Port Tracer: the path of single messages, for operators. Spans are passed as arguments and travel between nodes as W3C
 * trace contexts, so there is no global state. Where nothing is traced nothing is made: no span, and no property on a
 * notice.
 */

/** A span as others refer to it: `00-<trace>-<span>-<flags>` (https://www.w3.org/TR/trace-context/#traceparent-header). */
export type TraceContext = string;

/** The attributes of a span by name. */
export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** The kind of a span, as OpenTelemetry defines it. */
export type SpanKind = "server" | "internal" | "producer" | "consumer";

/** A piece of work that takes time. */
export interface Span {
  /** Makes this span the parent of others, on other nodes too. */
  readonly context: TraceContext;
  /** Ends the span; call it once. `error` is one word of a fixed list, and unset if the work succeeded. */
  end(attributes?: Attributes, error?: string): void;
}

/** What a span starts with. */
export interface SpanStart {
  /** A name of a fixed list, without ids. */
  readonly name: string;
  readonly kind: SpanKind;
  /** Undefined to start a new trace, if the sampler decides so. A malformed trace context counts as undefined. */
  readonly parent: TraceContext | undefined;
  readonly attributes?: Attributes;
  /** When the work started, in ms since the Unix epoch. Default: now. */
  readonly startTime?: number;
}

/** The port. */
export interface Tracer {
  /** Starts a span. Returns undefined if it is not sampled; its children are not to be started then. Never throws. */
  start(start: SpanStart): Span | undefined;
  /** Sends the spans that have ended, as far as that succeeds soon, and stops. Never rejects. */
  close(): Promise<void>;
}

/** A tracer that traces nothing. */
export const noTracer: Tracer = { start: () => undefined, close: async () => {} };

/** Runs `work` within a child span of `parent`, or without one if `parent` is undefined or not sampled. */
export function within<T>(
  tracer: Tracer,
  parent: Span | undefined,
  name: string,
  attributes: Attributes,
  work: () => Promise<T>,
): Promise<T> {
  const span = parent && tracer.start({ name, kind: "internal", parent: parent.context, attributes });
  return span ? traced(span, work) : work();
}

async function traced<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    span.end();
    return result;
  } catch (error) {
    span.end({}, "failed");
    throw error;
  }
}
