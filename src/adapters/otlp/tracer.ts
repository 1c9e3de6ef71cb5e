import { type Context, ROOT_CONTEXT, type SpanContext, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import type { Attributes, Span, SpanStart, TraceContext, Tracer } from "../../ports/tracer.ts";

/** The most spans that wait to be sent. Further ones are dropped: a collector that is down costs spans, not memory. */
const maxQueueSize = 2048;
const maxExportBatchSize = 512;
/** How long to wait for the collector, at close too. */
const exportTimeoutMs = 2_000;

const kinds = {
  server: SpanKind.SERVER,
  internal: SpanKind.INTERNAL,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

/** Options of OtlpTracer. */
export interface OtlpOptions {
  /** The collector's base URL, such as `http://127.0.0.1:4318`; spans go to `/v1/traces` below it. */
  readonly endpoint: string;
  /** The resource attribute `service.name`. */
  readonly service: string;
  /** The time between two batches, in ms. Default: 5,000. */
  readonly delayMs?: number;
}

/**
 * Port Tracer on OpenTelemetry's SDK, exporting by OTLP over HTTP. The SDK honours the environment variables of
 * OpenTelemetry's specification for the sampler (OTEL_TRACES_SAMPLER) and for headers (OTEL_EXPORTER_OTLP_HEADERS).
 * Without them, a trace is sampled when its caller samples it, and every trace that starts here. Nothing is registered
 * globally.
 */
export class OtlpTracer implements Tracer {
  readonly #provider: BasicTracerProvider;

  constructor({ endpoint, service, delayMs = 5_000 }: OtlpOptions) {
    const exporter = new OTLPTraceExporter({
      url: `${endpoint.replace(/\/$/, "")}/v1/traces`,
      timeoutMillis: exportTimeoutMs,
    });
    this.#provider = new BasicTracerProvider({
      resource: resourceFromAttributes({ "service.name": service, "process.pid": process.pid }),
      spanProcessors: [
        new BatchSpanProcessor(exporter, {
          maxQueueSize,
          maxExportBatchSize,
          scheduledDelayMillis: delayMs,
          exportTimeoutMillis: exportTimeoutMs,
        }),
      ],
    });
  }

  start({ name, kind, parent, attributes = {}, startTime }: SpanStart): Span | undefined {
    const options = { kind: kinds[kind], attributes, ...(startTime === undefined ? {} : { startTime }) };
    const span = this.#provider.getTracer("tidings").startSpan(name, options, contextOf(parent));
    if (!span.isRecording()) return undefined;
    return {
      context: format(span.spanContext()),
      end(late: Attributes = {}, error?: string) {
        span.setAttributes(late);
        if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
        span.end();
      },
    };
  }

  /** Sends the spans that have ended. A collector that is away neither delays a shutdown for long nor makes it fail. */
  async close(): Promise<void> {
    await this.#provider.shutdown().catch(() => {});
  }
}

function contextOf(parent: TraceContext | undefined): Context {
  const spanContext = parent === undefined ? undefined : parse(parent);
  return spanContext ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : ROOT_CONTEXT;
}

/** Later versions may append fields; version ff and ids of zeros are invalid (W3C Trace Context, section 3.2.2). */
const traceparent = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/;

function parse(text: TraceContext): SpanContext | undefined {
  const [, traceId, spanId, flags] = traceparent.exec(text) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (text.startsWith("00-") && text.length !== 55) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
}

function format({ traceId, spanId, traceFlags }: SpanContext): TraceContext {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
}
