/** What values options take, whether they come as text from a flag or the environment, or as YAML from a file. */

import { busUrlRule, isBusUrl, isStoreUrl, storeUrlRule } from "../../adapters/urls.ts";

/** One kind of value. */
export interface Type<T> {
  /** Stands for the value in help; undefined for switches, which need none. */
  readonly placeholder: string | undefined;
  /** What is allowed, to follow "must be". */
  readonly allowed: string;
  /** Several values, by repeated flags, commas or a list in the file. */
  readonly many?: boolean;
  /** The value; `undefined` if it is not allowed. */
  read(raw: unknown): T | undefined;
}

/** Any text but the empty one. */
export const text: Type<string> = {
  placeholder: "text",
  allowed: "text (quote it in a file), not empty",
  read: (raw) => (typeof raw === "string" && raw !== "" ? raw : undefined),
};

/** A token; what an HTTP header cannot carry is refused here, since the error further down would quote it. */
export const jwt: Type<string> = {
  placeholder: "jwt",
  allowed: "a JWT, without blanks",
  read: (raw) => (typeof raw === "string" && /^[!-~]+$/.test(raw) ? raw : undefined),
};

/** What an HTTP header carries behind `Bearer`. */
export const bearer: Type<string> = { ...jwt, placeholder: "text", allowed: "text of visible ASCII, without blanks" };

/** A name or address of a network interface. */
export const address: Type<string> = { ...text, placeholder: "address", allowed: "a host name or an IP address" };

/** Where to listen. */
export const hostAndPort: Type<{ readonly host: string; readonly port: number }> = {
  placeholder: "address:port",
  allowed: "an address and a port, such as 127.0.0.1:9464 or [::1]:9464",
  read(raw) {
    const [, bare, bracketed, digits] =
      /^(?:([^\s:[\]]+)|\[([0-9a-fA-F:]+)\]):(\d{1,5})$/.exec(typeof raw === "string" ? raw : "") ?? [];
    const host = bare ?? bracketed;
    const port = Number(digits);
    return host !== undefined && port <= 65_535 ? { host, port } : undefined;
  },
};

/** A path in the file system. */
export const path: Type<string> = { ...text, placeholder: "path", allowed: "a path" };

/** Yes or no. */
export const toggle: Type<boolean> = {
  placeholder: undefined,
  allowed: "true or false",
  read: (raw) => (raw === true || raw === "true" ? true : raw === false || raw === "false" ? false : undefined),
};

/** A whole number of a range. */
export function whole(least: number, most: number = Number.MAX_SAFE_INTEGER): Type<number> {
  const allowed = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
  return {
    placeholder: "number",
    allowed: `a whole number ${allowed}`,
    read(raw) {
      const value = typeof raw === "string" && /^\d{1,16}$/.test(raw) ? Number(raw) : raw;
      const fits = Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
      return fits ? (value as number) : undefined;
    },
  };
}

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A span of time, in ms. The unit is always written: a bare number would leave seconds or milliseconds to be guessed. */
export function duration(least: number, most: number): Type<number> {
  return {
    placeholder: "duration",
    allowed: `a number with a unit (ms, s, m, h, d), from ${spell(least)} to ${spell(most)}, such as 25s or 1.5h`,
    read(raw) {
      const [, number, unit] = /^(\d{1,15}(?:\.\d{1,9})?)(ms|s|m|h|d)$/.exec(typeof raw === "string" ? raw : "") ?? [];
      if (number === undefined) return undefined;
      const value = Math.round(Number(number) * units[unit as keyof typeof units]);
      return value >= least && value <= most ? value : undefined;
    },
  };
}

/** A span of ms in the largest unit that divides it. */
export function spell(milliseconds: number): string {
  const unit = Object.entries(units).findLast(([, size]) => milliseconds % size === 0 && milliseconds >= size);
  return unit === undefined ? `${milliseconds}ms` : `${milliseconds / unit[1]}${unit[0]}`;
}

/** A moment, in ms since the Unix epoch. The zone is always written: a bare time would be another one on each machine. */
export const instant: Type<number> = {
  placeholder: "time",
  allowed: "a time with its zone, such as 2026-11-03T10:20:00Z",
  read(raw) {
    const form = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/;
    const value = typeof raw === "string" && form.test(raw) ? Date.parse(raw) : Number.NaN;
    return Number.isNaN(value) ? undefined : value;
  },
};

/** One of a few words. */
export function choice<const T extends string>(...words: readonly T[]): Type<T> {
  return {
    placeholder: words.join("|"),
    allowed: `one of ${words.join(", ")}`,
    read: (raw) => words.find((word) => word === raw),
  };
}

/** An http or https URL; without a password, which process lists and logs would show. */
export const url: Type<string> = {
  placeholder: "url",
  allowed: "an http or https URL without user, password, query and fragment",
  read(raw) {
    const parsed = typeof raw === "string" ? URL.parse(raw) : null;
    if (parsed === null || !/^https?:$/.test(parsed.protocol)) return undefined;
    return parsed.username || parsed.password || parsed.search || parsed.hash ? undefined : (raw as string);
  },
};

/** A store that nodes share. */
export const storeUrl: Type<string> = {
  placeholder: "url",
  allowed: storeUrlRule,
  read: (raw) => (typeof raw === "string" && isStoreUrl(raw) ? raw : undefined),
};

/** What nodes tell each other by. */
export const busUrl: Type<string> = {
  placeholder: "url",
  allowed: busUrlRule,
  read: (raw) => (typeof raw === "string" && isBusUrl(raw) ? raw : undefined),
};

/** Where a key set is fetched from: as `url`, but key sets with a query exist. */
export const keySetUrl: Type<string> = {
  placeholder: "url",
  allowed: "an https URL (http only for tests)",
  read: (raw) => (typeof raw === "string" && /^https?:\/\//.test(raw) && URL.canParse(raw) ? raw : undefined),
};

/** What the server asks: as `url`, but with a query; a password in it would be refused by fetch, at the first question. */
export const hookUrl: Type<string> = {
  placeholder: "url",
  allowed: "an http or https URL without user, password and fragment",
  read(raw) {
    const parsed = typeof raw === "string" ? URL.parse(raw) : null;
    if (parsed === null || !/^https?:$/.test(parsed.protocol)) return undefined;
    return parsed.username || parsed.password || parsed.hash ? undefined : (raw as string);
  },
};

/** The origin of a page, or all of them. */
export const origin: Type<string> = {
  placeholder: "origin",
  allowed: "an origin such as https://app.example.com, or * for all",
  read(raw) {
    if (typeof raw !== "string") return undefined;
    return raw === "*" || URL.parse(raw)?.origin === raw ? raw : undefined;
  },
};

/** JSON of any form, parsed. */
export const json: Type<{ readonly value: unknown }> = {
  placeholder: "json",
  allowed: "valid JSON",
  read(raw) {
    try {
      return typeof raw === "string" ? { value: JSON.parse(raw) } : undefined;
    } catch {
      return undefined;
    }
  },
};

/** One or more values, none of them empty. */
export function list<T>(of: Type<T>): Type<readonly T[]> {
  return {
    placeholder: `${of.placeholder},…`,
    allowed: `a list, each ${of.allowed}`,
    many: true,
    read(raw) {
      const items = Array.isArray(raw) ? raw : [raw];
      const parts = items.flatMap((item: unknown) => (typeof item === "string" ? item.split(",") : [item]));
      const values = parts.map((part) => of.read(typeof part === "string" ? part.trim() : part));
      return values.length > 0 && values.every((value) => value !== undefined) ? (values as T[]) : undefined;
    },
  };
}

/** One or more values, each in a flag of its own, since they may hold commas. */
export function repeated<T>(of: Type<T>): Type<readonly T[]> {
  return {
    placeholder: of.placeholder,
    allowed: `${of.allowed}, once or more`,
    many: true,
    read(raw) {
      const values = (Array.isArray(raw) ? raw : [raw]).map((item) => of.read(item));
      return values.length > 0 && values.every((value) => value !== undefined) ? (values as T[]) : undefined;
    },
  };
}
