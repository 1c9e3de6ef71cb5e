/** Comments of the contract, as its descriptor has them. */
import type {
  DescEnum,
  DescEnumValue,
  DescField,
  DescFile,
  DescMessage,
  DescMethod,
  DescService,
} from "@bufbuild/protobuf";

/** A part of the contract that has a comment. */
export type Commented = DescMessage | DescField | DescEnum | DescEnumValue | DescService | DescMethod;

/** The comment above a part of the contract; empty where there is none. */
export function commentOf(desc: Commented): string {
  const path = pathOf(desc).join();
  const info = fileOf(desc).proto.sourceCodeInfo;
  const location = info?.location.find((each) => each.path.join() === path);
  return (location?.leadingComments ?? "").replace(/^ /gm, "").trim();
}

function fileOf(desc: Commented): DescFile {
  return desc.kind === "field" || desc.kind === "enum_value" || desc.kind === "rpc" ? fileOf(desc.parent) : desc.file;
}

/**
 * The path by which a descriptor of a file names one of its parts: numbers of fields, each followed by an index.
 * Source: https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto, SourceCodeInfo
 */
function pathOf(desc: Commented): number[] {
  switch (desc.kind) {
    case "message":
      return desc.parent
        ? [...pathOf(desc.parent), 3, desc.parent.proto.nestedType.indexOf(desc.proto)]
        : [4, desc.file.proto.messageType.indexOf(desc.proto)];
    case "enum":
      return desc.parent
        ? [...pathOf(desc.parent), 4, desc.parent.proto.enumType.indexOf(desc.proto)]
        : [5, desc.file.proto.enumType.indexOf(desc.proto)];
    case "service":
      return [6, desc.file.proto.service.indexOf(desc.proto)];
    case "field":
      return [...pathOf(desc.parent), 2, desc.parent.proto.field.indexOf(desc.proto)];
    case "enum_value":
      return [...pathOf(desc.parent), 2, desc.parent.proto.value.indexOf(desc.proto)];
    case "rpc":
      return [...pathOf(desc.parent), 2, desc.parent.proto.method.indexOf(desc.proto)];
  }
}
