/**
 * Port Tracer: the way of single messages, for operators. Spans are handed on as arguments and their names travel as W3C
 * trace contexts, so there is no global state, and where nothing is traced, nothing is made: no span, and no property on
 * a notice.
 */

/** The name of a span for others: `00-<trace>-<span>-<flags>` (https://www.w3.org/TR/trace-context/#traceparent-header). */
export type TraceContext = string;

/** What is known of a span: strings, numbers and truth values by name. */
export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** How a span stands to its parent, in the words of OpenTelemetry. */
export type SpanKind = "server" | "internal" | "producer" | "consumer";

/** Something that takes time. Ends once. */
export interface Span {
  /** To be the parent of others, on other nodes, too. */
  readonly context: TraceContext;
  /** With an error: what went wrong, in one word of a fixed list. */
  end(attributes?: Attributes, error?: string): void;
}

/** The start of a span. */
export interface SpanStart {
  readonly name: string;
  readonly kind: SpanKind;
  /** Undefined: it begins a trace, if the sampler will have it. One that is no trace context counts as undefined. */
  readonly parent: TraceContext | undefined;
  readonly attributes?: Attributes;
  /** In ms since the Unix epoch. Default: now. */
  readonly startTime?: number;
}

/** The port. */
export interface Tracer {
  /** Undefined when it is not sampled: nobody will see it, and nothing is to be made below it. */
  start(start: SpanStart): Span | undefined;
  /** Sends what has ended, and stops. */
  close(): Promise<void>;
}

/** Traces nothing. */
export const noTracer: Tracer = { start: () => undefined, close: async () => {} };

/** Runs work as a part of a span; without one, just runs it. */
export async function within<T>(
  tracer: Tracer,
  parent: Span | undefined,
  name: string,
  attributes: Attributes,
  work: () => Promise<T>,
): Promise<T> {
  const span = parent && tracer.start({ name, kind: "internal", parent: parent.context, attributes });
  if (!span) return work();
  try {
    const result = await work();
    span.end();
    return result;
  } catch (error) {
    span.end({}, "failed");
    throw error;
  }
}
