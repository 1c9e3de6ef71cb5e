import type { DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { Passage } from "./gate.ts";

/** The unary methods of a service. */
type UnaryMethods<S extends DescService> = {
  [K in keyof S["method"] as S["method"][K]["methodKind"] extends "unary" ? K : never]: S["method"][K];
};

/** The implementation of a service's unary methods, for calls that the gate has let through from any handler. */
export type UnaryService<S extends DescService> = {
  [K in keyof UnaryMethods<S>]: (
    request: MessageShape<UnaryMethods<S>[K]["input"]>,
    call: Passage,
  ) => Promise<MessageInitShape<UnaryMethods<S>[K]["output"]>>;
};
