import { type Context, ROOT_CONTEXT, type SpanContext, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import type { Attributes, Span, SpanStart, TraceContext, Tracer } from "../../ports/tracer.ts";

/** Spans that wait to be sent; beyond, they are dropped: a collector that is down costs spans, and no memory. */
const maxQueueSize = 2048;
const maxExportBatchSize = 512;
/** A collector that does not answer is given up after so long, at close, too. */
const exportTimeoutMs = 2_000;

const kinds = {
  server: SpanKind.SERVER,
  internal: SpanKind.INTERNAL,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

/** Where spans go, and what they say of the node. */
export interface OtlpOptions {
  /** The collector's base URL, such as `http://127.0.0.1:4318`; spans go to `/v1/traces` below it. */
  readonly endpoint: string;
  /** `service.name`. */
  readonly service: string;
  /** Ms between two batches. Default 5,000. */
  readonly delayMs?: number;
}

/**
 * Port Tracer on OpenTelemetry's SDK, by OTLP over HTTP. The variables of OpenTelemetry's specification for the sampler
 * (OTEL_TRACES_SAMPLER) and the exporter's headers (OTEL_EXPORTER_OTLP_HEADERS) are honoured by the SDK; without them
 * a trace is sampled when its caller says so, and every one that begins here. Nothing is registered globally.
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

  /** A collector that is away must not keep a server from ending, nor turn its end into an error. */
  async close(): Promise<void> {
    await this.#provider.shutdown().catch(() => {});
  }
}

function contextOf(parent: TraceContext | undefined): Context {
  const spanContext = parent === undefined ? undefined : parse(parent);
  return spanContext ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : ROOT_CONTEXT;
}

/** Versions to come may append fields; ff is none, and ids of zeros are none (W3C Trace Context, 3.2.2). */
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
