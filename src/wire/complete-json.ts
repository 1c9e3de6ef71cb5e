import type { JsonWriteOptions } from "@bufbuild/protobuf";

/**
 * JSON with the fields that have their default, such as `"total": 0`: in responses and in every event but messages. JSON
 * of Protobuf leaves them out otherwise, and a reader without the contract takes a missing number for an error. Messages
 * on streams are encoded without them: they would make a short one longer by 70 %.
 */
export const completeJson: Partial<JsonWriteOptions> = { alwaysEmitImplicit: true };
