/** Where the values of settings come from. */
import type { SettingName } from "./settings.ts";

/** The environment variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A value as it was written, and where, for error messages. */
export interface RawValue {
  readonly raw: unknown;
  readonly where: string;
}

/** The values of one source: the flags, the environment, the file or a context. */
export type Source = ReadonlyMap<SettingName, RawValue>;
