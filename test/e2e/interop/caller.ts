/** A driver with the types of the contract, for the scenario. */
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromJson,
  type MessageInitShape,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { expect, type TestContext } from "vitest";
import {
  PushService,
  SubscribeRequestSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import { type Call, CallError, type Driver, type EventStream } from "./driver.ts";

type Event = SubscribeResponse["event"];
type ValueOf<Case extends Event["case"]> = Extract<Event, { case: Case }>["value"];

/** A client with the token of one caller. */
export class Caller {
  readonly #driver: Driver;
  readonly #token: string | undefined;
  readonly #onTestFinished: TestContext["onTestFinished"];

  constructor(driver: Driver, token: string | undefined, onTestFinished: TestContext["onTestFinished"]) {
    this.#driver = driver;
    this.#token = token;
    this.#onTestFinished = onTestFinished;
  }

  async call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    const request = toJson(method.input, create(method.input, init));
    return fromJson(method.output, await this.#driver.unary({ method, request, ...this.#bearer() }));
  }

  /** Opens a stream, which ends with the test. */
  subscribe(init: MessageInitShape<typeof SubscribeRequestSchema> = {}, timeoutMs?: number): Stream {
    const request = toJson(SubscribeRequestSchema, create(SubscribeRequestSchema, init));
    const timeout = timeoutMs === undefined ? {} : { timeoutMs };
    const stream = this.#driver.stream({
      method: PushService.method.subscribe,
      request,
      ...this.#bearer(),
      ...timeout,
    });
    this.#onTestFinished(() => stream.cancel());
    return new Stream(stream);
  }

  /** Opens a stream and reads it up to CaughtUp. */
  async live(init: MessageInitShape<typeof SubscribeRequestSchema> = {}): Promise<Stream> {
    const stream = this.subscribe(init);
    await stream.expect("hello");
    await stream.expect("caughtUp");
    return stream;
  }

  #bearer(): Pick<Call, "token"> {
    return this.#token === undefined ? {} : { token: this.#token };
  }
}

/** A stream of typed events. */
export class Stream {
  readonly #stream: EventStream;

  constructor(stream: EventStream) {
    this.#stream = stream;
  }

  async next(): Promise<Event> {
    return fromJson(SubscribeResponseSchema, await this.#stream.next()).event;
  }

  /** The next event, which must be of this case. */
  async expect<Case extends NonNullable<Event["case"]>>(name: Case): Promise<ValueOf<Case>> {
    const event = await this.next();
    expect(event.case).toBe(name);
    return event.value as ValueOf<Case>;
  }

  /** The next event of this case; skips the events before it. */
  async until<Case extends NonNullable<Event["case"]>>(name: Case): Promise<ValueOf<Case>> {
    for (;;) {
      const event = await this.next();
      if (event.case === name) return event.value as ValueOf<Case>;
    }
  }

  /** The error that ends the stream, which must come next. */
  end(): Promise<CallError> {
    return errorOf(this.#stream.next());
  }

  /** The error that ends the stream; skips the events before it. */
  async endAfterAll(): Promise<CallError> {
    for (;;) {
      try {
        await this.#stream.next();
      } catch (error) {
        if (error instanceof CallError) return error;
        throw error;
      }
    }
  }

  cancel(): void {
    this.#stream.cancel();
  }
}

/** The error of a call, which must fail. */
export async function errorOf(call: Promise<unknown>): Promise<CallError> {
  const outcome = await call.then(
    (answer) => new Error(`no error, but ${JSON.stringify(answer)}`),
    (error: Error) => error,
  );
  if (outcome instanceof CallError) return outcome;
  throw outcome;
}
