/** Finds the files of a registry by the symbols that they define. */
import { type DescFile, type Registry, toBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";

/** A .proto file as reflection sends it. */
export interface IndexedFile {
  /** The path, such as `tidings/v1/message.proto`. */
  readonly name: string;
  /** The names of the files that it imports. */
  readonly imports: readonly string[];
  /** An encoded FileDescriptorProto, options included. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * The files of a registry and all files that they import. It is built from the raw descriptors because the parsed ones
 * leave out some symbols, such as the entry types of maps.
 */
export class DescriptorIndex {
  readonly #files = new Map<string, IndexedFile>();
  readonly #symbols = new Map<string, IndexedFile>();
  readonly #extensions = new Map<string, Map<number, IndexedFile>>();

  /** Indexes the files of all types of the registry. */
  constructor(registry: Registry) {
    for (const type of registry) this.#addFile(type.file);
  }

  /** The file with this name. */
  file(name: string): IndexedFile | undefined {
    return this.#files.get(name);
  }

  /** The file that defines a message, field, oneof, enum, value, service, method or extension, by its full name. */
  symbol(name: string): IndexedFile | undefined {
    return this.#symbols.get(name);
  }

  /** The file that defines the extension of the message `extendee` with this number. */
  extension(extendee: string, number: number): IndexedFile | undefined {
    return this.#extensions.get(extendee)?.get(number);
  }

  /**
   * The numbers of all extensions of the message `extendee`, ascending; `undefined` when the message does not exist.
   */
  extensionNumbers(extendee: string): number[] | undefined {
    const numbers = this.#extensions.get(extendee);
    return numbers && [...numbers.keys()].sort((a, b) => a - b);
  }

  #addFile({ proto, dependencies }: DescFile): void {
    if (this.#files.has(proto.name)) return;
    const bytes = toBinary(FileDescriptorProtoSchema, proto);
    const file: IndexedFile = { name: proto.name, imports: proto.dependency, bytes };
    this.#files.set(proto.name, file);
    for (const dependency of dependencies) this.#addFile(dependency);
    const scope = proto.package === "" ? "" : `${proto.package}.`;
    for (const message of proto.messageType) this.#addMessage(message, scope, file);
    for (const enumeration of proto.enumType) this.#addEnum(enumeration, scope, file);
    for (const extension of proto.extension) this.#addExtension(extension, scope, file);
    for (const service of proto.service) {
      this.#symbols.set(scope + service.name, file);
      for (const method of service.method) this.#symbols.set(`${scope}${service.name}.${method.name}`, file);
    }
  }

  #addMessage(message: DescriptorProto, scope: string, file: IndexedFile): void {
    const name = scope + message.name;
    const inner = `${name}.`;
    this.#symbols.set(name, file);
    this.#extensionsOf(name);
    for (const field of [...message.field, ...message.oneofDecl]) this.#symbols.set(inner + field.name, file);
    for (const nested of message.nestedType) this.#addMessage(nested, inner, file);
    for (const enumeration of message.enumType) this.#addEnum(enumeration, inner, file);
    for (const extension of message.extension) this.#addExtension(extension, inner, file);
  }

  /** Protobuf scopes the values of an enum as its siblings, not as its children. */
  #addEnum(enumeration: EnumDescriptorProto, scope: string, file: IndexedFile): void {
    for (const { name } of [enumeration, ...enumeration.value]) this.#symbols.set(scope + name, file);
  }

  #addExtension({ name, extendee: dotted, number }: FieldDescriptorProto, scope: string, file: IndexedFile): void {
    this.#extensionsOf(dotted.replace(/^\./, "")).set(number, file);
    this.#symbols.set(scope + name, file);
  }

  /** Creates an empty map for a message that nothing extends, so that `extensionNumbers` finds the message. */
  #extensionsOf(message: string): Map<number, IndexedFile> {
    const known = this.#extensions.get(message) ?? new Map<number, IndexedFile>();
    this.#extensions.set(message, known);
    return known;
  }
}
